"""Imported before all else by the commands: what their processes would load or do at their start, and do not need."""

import gc
import sys

gc.set_threshold(
    50_000, 20, 100
)  # what is imported is no garbage: looking through it again and again takes a tenth of it

# Loaded for tracebacks in colours, of which ours have none: 4.5 MB and 40 ms of each process.
sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402, F401

del sys.modules["rich"]


def without_pydantic() -> None:
    """Keep out of this process what litestar loads, wherever it is installed, for models that we have none of.

    To be called where typer has nothing to do: it needs it.
    """
    sys.modules["pydantic"] = None  # type: ignore[assignment]
