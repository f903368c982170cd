"""What the operator of a server sees of what could not be stored: `chatwren dead-letters …`."""

from collections.abc import AsyncIterator

from chatwren.domain.dead_letters import Count, DeadLetter
from chatwren.domain.errors import NotFound
from chatwren.store import dead_letters
from chatwren.store.database import Database


async def every(db: Database) -> AsyncIterator[DeadLetter]:
    """All dead letters, the oldest first."""
    async with db.transaction() as connection:
        async for letter in dead_letters.every(connection):
            yield letter


async def get(db: Database, letter: int) -> tuple[DeadLetter, bytes]:
    """One dead letter, with what is kept of its event.

    Raises:
        NotFound: there is none of that number.
    """
    async with db.connection() as connection:
        found = await dead_letters.get(connection, letter)
    if found is None:
        raise missing(letter)
    return found


async def discard(db: Database, letter: int) -> None:
    """Forget a dead letter for good.

    Raises:
        NotFound: there is none of that number.
    """
    async with db.connection() as connection:
        if not await dead_letters.remove(connection, letter):
            raise missing(letter)


async def count(db: Database) -> list[Count]:
    """How many there are of each kind."""
    async with db.connection() as connection:
        return await dead_letters.count(connection)


def missing(letter: int) -> NotFound:
    """What is said of a number that no dead letter has."""
    return NotFound(f"There is no dead letter {letter}.")
