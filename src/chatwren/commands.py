"""What the commands have in common: their settings, the database, and an event loop."""

import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import structlog
import typer

from chatwren.machine import lifeline
from chatwren.settings import Settings, doubts

if TYPE_CHECKING:
    from chatwren.store.database import Database

log = structlog.get_logger(__name__)

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

    settings = Settings(**given(options))
    configure(settings)
    return settings


def say_doubts(settings: Settings) -> None:
    """Warn of settings that are probably not what is meant; a child of `serve` does not repeat what that has said."""
    if lifeline.VARIABLE not in os.environ:
        for doubt in doubts(settings):
            log.warning("settings.doubtful", why=doubt)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Those of a command's options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def on_database(data_dir: Path | None, work: "Callable[[Database], Awaitable[None]]") -> None:
    """Do something with the database that the settings name, or with the embedded one, which is started if need be.

    Raises:
        CannotStart: there is no database of this version; none is made.
    """
    import asyncpg

    from chatwren.machine.database import check_tables, unreachable
    from chatwren.machine.postgres import reach_database
    from chatwren.store.database import Database

    settings = settings_of(data_dir=data_dir)

    async def run() -> None:
        async with reach_database(settings, make=False) as url:
            await check_tables(url)
            async with Database.connect(url, application_name="chatwren command", pacing=settings.pacing) as db:
                await work(db)

    try:
        run_to_end(run())
    except (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.exceptions.InterfaceError) as error:
        raise unreachable(error) from None


def outlast_log_rotation(*, hang_up: bool = True) -> None:
    """Go on at the signals by which whoever rotates logs asks for new files: this process has none, and would end.

    Args:
        hang_up: SIGHUP is one of them; else it says that the terminal is gone.
    """
    for one in (signal.SIGUSR1, signal.SIGUSR2, *((signal.SIGHUP,) if hang_up else ())):
        signal.signal(one, signal.SIG_IGN)


def wait_for_database() -> None:
    """Wait until `serve` has made the database ready, if that has started this process: it ends the input then."""
    if lifeline.VARIABLE in os.environ:
        os.read(0, 1)


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """What comes of it."""
    import uvloop

    return uvloop.run(work)
