"""The compiled programs that come with the package."""

from pathlib import Path

from chatwren.settings import CannotStart

_FOLDER = Path(__file__).parents[1] / "_bin"


def engine() -> Path:
    """`chatwren-engine`, which holds WhatsApp connections.

    Raises:
        CannotStart: it is not there.
    """
    return _find("chatwren-engine")


def sandbox() -> Path:
    """`chatwren-sandbox`, which simulates WhatsApp.

    Raises:
        CannotStart: it is not there.
    """
    return _find("chatwren-sandbox")


def _find(name: str) -> Path:
    program = _FOLDER / name
    if not program.exists():
        raise CannotStart(f"{name} is not in {_FOLDER}: run `make setup`, which compiles it.")
    return program
