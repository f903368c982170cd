"""The commands `chatwren dead-letters …`: what WhatsApp sent and could not be stored."""

from typing import TYPE_CHECKING, Annotated

import typer

from chatwren.commands import DataDir, on_database
from chatwren.domain.errors import Invalid

if TYPE_CHECKING:
    from chatwren.store.database import Database

letters = typer.Typer(help="What WhatsApp sent and could not be stored.", no_args_is_help=True)

_LARGEST = 2**63 - 1  # of the numbers that PostgreSQL gives
Number = Annotated[int, typer.Argument(help="The dead letter's number.", min=1, max=_LARGEST)]
NumberOrAll = Annotated[
    int | None, typer.Argument(help="The dead letter's number.", min=1, max=_LARGEST, show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="All there are.")]


@letters.command(name="list")
def list_letters(data_dir: DataDir = None) -> None:
    """All dead letters, the oldest first."""
    from chatwren.logs import printable
    from chatwren.service import dead_letters

    async def run(db: "Database") -> None:
        async for one in dead_letters.every(db):
            more = f"  (and {one.not_kept:,} more, for which there was no room)" if one.not_kept else ""
            username, kind, reason = printable(one.username), printable(one.kind), printable(one.reason)[:200]
            print(f"{one.id:8}  {one.created_at:%Y-%m-%d %H:%M:%S}  {username:24}  {kind:12}  {reason}{more}")

    on_database(data_dir, run)


@letters.command()
def show(number: Number, data_dir: DataDir = None) -> None:
    """All that is known of a dead letter, with what it says: that is somebody's private message."""
    from chatwren.channels.engine.convert import event_as_text
    from chatwren.logs import printable
    from chatwren.service import dead_letters

    async def run(db: "Database") -> None:
        one, event = await dead_letters.get(db, number)
        print(f"user         {printable(one.username)}\naccount      {one.account}\nkind         {printable(one.kind)}")
        print(f"put aside    {one.created_at:%Y-%m-%d %H:%M:%S} UTC\ntried again  {one.retries:,} times")
        print(f"reason       {printable(one.reason)}\nsize         {one.size:,} bytes, {len(event):,} of them kept\n")
        print("\n".join(map(printable, event_as_text(event).splitlines())))

    on_database(data_dir, run)


@letters.command()
def retry(number: NumberOrAll = None, every: All = False, data_dir: DataDir = None) -> None:
    """Store it after all, with a newer version perhaps. Workers may run meanwhile. Ends with 1 where some are left."""
    from chatwren.channels.engine import convert
    from chatwren.delivery import dead_letters
    from chatwren.domain.errors import Conflict, NotFound
    from chatwren.logs import printable

    left = 0

    async def run(db: "Database") -> None:
        nonlocal left
        for one in await _chosen(db, number, every=every):
            try:
                await dead_letters.retry(db, one, read=convert.event)
                print(f"{one:8}  stored")
            except Conflict as error:
                print(f"{one:8}  {printable(error.message)}")
                left += 1
            except NotFound:
                if not every:  # of all, somebody else has taken this one
                    raise

    on_database(data_dir, run)
    raise typer.Exit(left > 0)


@letters.command()
def discard(number: NumberOrAll = None, every: All = False, data_dir: DataDir = None) -> None:
    """Forget it for good."""
    from chatwren.domain.errors import NotFound
    from chatwren.service import dead_letters

    async def run(db: "Database") -> None:
        for one in await _chosen(db, number, every=every):
            try:
                await dead_letters.discard(db, one)
            except NotFound:
                if not every:  # of all, somebody else has taken this one
                    raise

    on_database(data_dir, run)


async def _chosen(db: "Database", number: int | None, *, every: bool) -> list[int]:
    from chatwren.service import dead_letters

    if (number is None) is not every:
        raise Invalid("Name one dead letter by its number, or all with --all.")
    return [one.id async for one in dead_letters.every(db)] if number is None else [number]
