"""The engine is a channel: the whole system in the sandbox, for what only the real engine shows."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from chatwren.channels.engine.sender import EngineSender
from chatwren.machine.throwaway import fresh_database
from tests.conformance import RESENDS, Answer, Arrived, Connects, Hears, Sends
from tests.conftest import Postgres
from tests.e2e.house import House, Person, a_number, house
from tests.waiting import until

_FAULTS = {
    Answer.UNHEARD: ("no_ack", 0),
    Answer.RECIPIENT: ("reject", 401),
    Answer.ACCOUNT: ("reject", 429),
    Answer.NEW_CONTACTS: ("reject", 463),
}


class SandboxSide:
    """See `Side`. Bob is who writes to Alice."""

    resend_is_safe = EngineSender.resend_is_safe

    def __init__(self, home: House, alice: Person, bob: Person) -> None:
        self._home = home
        self._people = {"alice": alice, "bob": bob}
        self._alice, self._bob = alice, bob
        self._numbers: list[str] = []  # that Alice has written to, in that order
        self._friend: str | None = None

    async def accept(
        self, text: str, *, stranger: bool = True, file: bytes | None = None, whose: str = "alice"
    ) -> UUID:
        to = await self._stranger() if stranger else self._friend or await self._befriend()
        if whose == "alice" and to not in self._numbers:
            self._numbers.append(to)
        message = await self._people[whose].send(to, text, file=("a.txt", file) if file else None)
        return UUID(message.removeprefix("msg_"))

    async def _stranger(self) -> str:
        number = a_number()
        await self._home.phones.set(number, receipts="none")
        return number

    async def _befriend(self) -> str:
        self._friend = await self._stranger()
        await self._home.phones.write(self._friend, self._alice.number, "hello Alice")
        await until(self.inbound, seconds=60)
        return self._friend

    async def answer(self, *answers: Answer) -> None:
        for kind, code in (_FAULTS[answer] for answer in answers):
            await self._home.phones.fault(kind, phone=self._alice.number, code=code)

    async def arrived(self) -> list[Arrived]:
        return [
            Arrived(one["id"], one["text"], one["media"] and one["media"]["sha256"])
            for number in self._numbers
            for one in await self._home.phones.messages(number, sender=self._alice.number)
            for _ in range(one["deliveries"])
        ]

    async def receipt(self, message_id: str, *, read: bool, by_stranger: bool = False) -> None:
        kind, stranger = "read" if read else "", a_number()
        for number in self._numbers:
            shown = await self._home.phones.messages(number, sender=self._alice.number)
            if message_id in {one["id"] for one in shown}:
                who = stranger if by_stranger else number
                await self._home.phones.receipt(who, self._alice.number, [message_id], type=kind)

    async def write(self, text: str, *, file: bytes | None = None) -> None:
        await self._bob.send(self._alice.number, text, file=("a.txt", file) if file else None)

    async def cut(self) -> None:
        await self._home.phones.fault("drop", phone=self._alice.number, milliseconds=600_000)

    async def mend(self) -> None:
        await self._home.phones.end_faults()

    async def message(self, message: UUID) -> asyncpg.Record:
        (row,) = await self._home.sql("SELECT * FROM message WHERE id = $1", message)
        return row

    async def account(self) -> asyncpg.Record:
        (row,) = await self._home.sql("SELECT * FROM account WHERE phone = $1", self._alice.number)
        return row

    async def inbound(self) -> list[asyncpg.Record]:
        return await self._home.sql(
            "SELECT i.* FROM inbound i JOIN account a ON a.id = i.account_id WHERE a.phone = $1", self._alice.number
        )


@pytest.fixture(scope="module")
async def short_of_patience(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A system with one worker that soon gives up."""
    folder: Path = tmp_path_factory.mktemp("house")
    settings = {"CHATWREN_SEND_TIMEOUT_SECONDS": "1", "CHATWREN_MAX_RESENDS": str(RESENDS)}
    async with (
        fresh_database(postgres.url, template=postgres.template) as url,
        house(url, folder, **settings) as built,
    ):
        await built.worker()
        yield built


@pytest.fixture
async def side(short_of_patience: House) -> AsyncIterator[SandboxSide]:
    async with short_of_patience.person("alice") as alice, short_of_patience.person("bob") as bob:
        await alice.link()
        await bob.link()
        yield SandboxSide(short_of_patience, alice, bob)
        await short_of_patience.phones.end_faults()


class TestSandbox(Sends, Hears, Connects):
    """See there."""
