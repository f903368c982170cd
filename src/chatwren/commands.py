"""What the commands have in common: their settings, the database, and an event loop."""

from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from chatwren.settings import Settings, load_settings

if TYPE_CHECKING:
    from chatwren.store.database import Database

T = TypeVar("T")
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", readable=False, help="Folder of the embedded PostgreSQL, media and the sandbox's state."
    ),
]


def settings_of(**options: object) -> Settings:
    """The settings, with the options of a command that were given; logging is set up by them."""
    from chatwren.logs import configure

    settings = load_settings(**given(options))
    configure(settings)
    return settings


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Those of a command's options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def on_database(data_dir: Path | None, work: "Callable[[Database], Awaitable[None]]") -> None:
    """Do something with the database that the settings name, or with the embedded one, which is started if need be."""
    from chatwren.machine.postgres import reach_database
    from chatwren.store.database import Database

    settings = settings_of(data_dir=data_dir)

    async def run() -> None:
        async with (
            reach_database(settings) as url,
            Database.connect(url, application_name="chatwren command", pacing=settings.pacing) as db,
        ):
            await work(db)

    run_to_end(run())


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """What comes of it."""
    import uvloop

    return uvloop.run(work)
