"""An engine that notes what it is asked, and answers as a test tells it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from uuid import UUID

from chatwren.channels.engine.client import Engine, EngineError, Pairing
from chatwren.channels.engine.model import Group, Media, PairEvent
from chatwren.channels.engine.process import EngineProcess
from chatwren.channels.results import Result, Sent


class Steps(Pairing):
    """A pairing that takes the given steps, and then goes on for ever."""

    def __init__(self, *steps: PairEvent) -> None:
        self._steps = steps
        self.confirmed: list[bool] = []

    async def __aiter__(self) -> AsyncIterator[PairEvent]:
        for step in self._steps:
            yield step
        await asyncio.Event().wait()

    async def confirm(self, *, accept: bool) -> None:
        self.confirmed.append(accept)


class ToldEngine(Engine):
    """Notes each call. What `errors` holds under its name is raised by the next ones, one each.

    Attributes:
        asked: the calls in order: name, account, and what else counts of it.
        at: when each of them came, by time.monotonic.
        results: of sends, one each; then all are sent.
        sent: WhatsApp id, text and media of each send.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, UUID, object]] = []
        self.at: list[float] = []
        self.errors: dict[str, list[Exception]] = {}
        self.results: list[Result] = []
        self.sent: list[tuple[str, str, Media | None]] = []
        self.jid: str | None = "1@lid"
        self.told = True
        self.known_groups: list[Group] = []
        self.unknown: set[UUID] = set()
        self.renewed: list[dict[UUID, int]] = []
        self.pairings: list[Steps] = []

    def count(self, name: str, account: UUID | None = None) -> int:
        """How often it was asked for this."""
        return sum(one == name and account in (None, whose) for one, whose, _ in self.asked)

    def _note(self, name: str, account: UUID, more: object = None) -> None:
        self.asked.append((name, account, more))
        self.at.append(time.monotonic())
        if self.errors.get(name):
            raise self.errors[name].pop(0)

    async def open(self, account: UUID, jid: str, epoch: int, *, valid_for: float) -> None:
        assert jid
        assert valid_for > 0
        self._note("open", account, epoch)

    async def renew(self, epochs: Mapping[UUID, int], *, valid_for: float, at_most: float) -> set[UUID]:
        assert 0 < at_most <= valid_for
        self.renewed.append(dict(epochs))
        unknown, self.unknown = self.unknown & epochs.keys(), set()
        return unknown

    async def close(self, account: UUID, epoch: int) -> None:
        self._note("close", account, epoch)

    async def logout(self, account: UUID, jid: str, epoch: int) -> bool:
        assert epoch
        self._note("logout", account, jid)
        return self.told

    async def groups(self, account: UUID, epoch: int) -> list[Group]:
        self._note("groups", account, epoch)
        return self.known_groups

    @contextlib.asynccontextmanager
    async def pair(self, account: UUID, epoch: int, phone: str | None) -> AsyncIterator[Pairing]:
        assert epoch
        self._note("pair", account, phone)
        yield self.pairings.pop(0) if self.pairings else Steps()

    async def send(
        self, account: UUID, epoch: int, *, to: str, message_id: str, text: str, media: Media | None, wait: float
    ) -> Result:
        assert epoch
        assert wait
        self._note("send", account, to)
        self.sent.append((message_id, text, media))
        return self.results.pop(0) if self.results else Sent(message_id)

    async def upload(self, account: UUID, epoch: int, kind: str, chunks: AsyncIterator[bytes]) -> bytes:
        assert epoch
        self._note("upload", account, (kind, b"".join([chunk async for chunk in chunks])))
        return b"handle"

    async def address_of(self, account: UUID, epoch: int, phone: str) -> str | None:
        assert epoch
        self._note("address", account, phone)
        return self.jid


class OneEngine(EngineProcess):
    """Where that engine is; None: it is not running."""

    def __init__(self, engine: ToldEngine | None) -> None:
        self.engine = engine
        self.killed = 0

    @property
    def current(self) -> Engine:
        if self.engine is None:
            raise EngineError("the engine is not running")
        return self.engine

    @property
    def is_up(self) -> bool:
        return self.engine is not None

    def kill(self) -> None:
        self.killed += 1
