"""The engine is a channel: the worker with an engine that answers, over its real door, as WhatsApp would have it do."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest

from chatwren.channels.engine.client import Engine
from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.channels.engine.process import EngineProcess
from chatwren.channels.engine.sender import EngineSender
from chatwren.delivery import worker
from chatwren.media.objects import media_store
from chatwren.settings import Settings
from chatwren.store.database import Topic
from chatwren.store.files import media_key
from tests.conformance import RESENDS, Answer, Arrived, Connects, Hears, Prepares, Sends
from tests.rows import Rows
from tests.unit.fake_engine import FakeEngine, message, receipt, state
from tests.waiting import until

FRIEND = "4915200009"
_ANSWERS = {
    Answer.UNHEARD: pb.SendResponse(unknown=pb.SendResponse.Unknown()),
    Answer.RECIPIENT: pb.SendResponse(not_on_whatsapp=pb.SendResponse.NotOnWhatsApp()),
    Answer.FORM: pb.SendResponse(invalid=pb.SendResponse.Invalid()),
    Answer.ACCOUNT: pb.SendResponse(rejected=pb.SendResponse.Rejected(code=429)),
    Answer.NEW_CONTACTS: pb.SendResponse(rejected=pb.SendResponse.Rejected(code=463)),
}


class AnsweringEngine(FakeEngine):
    """An engine to which every account is connected as soon as it is open.

    Attributes:
        whose: the account of whose messages `answers` speaks.
        answers: what becomes of the next ones.
        arrived: those of that account which WhatsApp got.
    """

    def __init__(self) -> None:
        super().__init__()
        self.whose: UUID
        self.answers: list[Answer] = []
        self.arrived: list[Arrived] = []
        self._open: set[str] = set()

    def calls(self) -> dict[str, Any]:
        named = (self.Open, self.Renew, self.Close, self.LogoutOrphans, self.CheckNumbers, self.Upload, self.Send)
        return super().calls() | {call.__name__: call for call in named}

    def _next(self, account: str, *could: Answer) -> Answer | None:
        if account != str(self.whose) or not self.answers or self.answers[0] not in could:
            return None
        return self.answers.pop(0)

    async def Open(self, request: Any, _context: Any) -> Any:  # noqa: N802 - as the door calls it
        self._open.add(request.account)
        await self.say(state(UUID(request.account), "CONNECTED"))
        return pb.OpenResponse(result=pb.OpenResponse.OPENED)

    async def Renew(self, request: Any, _context: Any) -> Any:  # noqa: N802
        return pb.RenewResponse(unknown={lease.account for lease in request.leases} - self._open)

    async def Close(self, request: Any, _context: Any) -> Any:  # noqa: N802
        self._open.discard(request.account)
        return pb.CloseResponse()

    async def LogoutOrphans(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return pb.LogoutOrphansResponse()

    async def CheckNumbers(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self._next(request.account, Answer.NOT_NOW):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        found = [
            pb.CheckNumbersResponse.Result(phone=phone, registered=True, jid=f"{phone}@s.whatsapp.net")
            for phone in request.phones
        ]
        return pb.CheckNumbersResponse(results=found)

    async def Upload(self, requests: AsyncIterator[Any], _context: Any) -> Any:  # noqa: N802
        start, *chunks = [request async for request in requests]
        if self._next(start.start.account, Answer.FILE):
            return pb.UploadResponse(failed=pb.UploadResponse.Failed(permanent=True))
        return pb.UploadResponse(handle=pb.MediaHandle(media_key=b"".join(one.chunk for one in chunks)))

    async def Send(self, batches: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        async for batch in batches:
            for one in batch.sends:
                outcome = pb.OutcomeBatch.One(number=one.number, outcome=self._outcome(one.request))
                yield pb.OutcomeBatch(outcomes=[outcome])

    def _outcome(self, request: Any) -> Any:
        answer = self._next(request.account, *_ANSWERS)
        if request.account == str(self.whose) and answer in (None, Answer.UNHEARD):
            file = hashlib.sha256(request.media.handle.media_key).hexdigest() if request.HasField("media") else None
            self.arrived.append(Arrived(request.id, request.text, file))
        return pb.SendResponse(sent=pb.SendResponse.Sent()) if answer is None else _ANSWERS[answer]


class OneProcess(EngineProcess):
    """Where that engine runs."""

    def __init__(self, fake: FakeEngine) -> None:
        self._fake = fake
        self._engine = None

    @contextlib.asynccontextmanager
    async def running(self, *, on_up: Callable[[Engine], None], on_down: Callable[[], None]) -> AsyncIterator[None]:
        async with self._fake.running() as engine:
            self._engine = engine
            on_up(engine)
            try:
                yield
            finally:
                self._engine = None
                on_down()


class EngineSide:
    """See `Side`."""

    resend_is_safe = EngineSender.resend_is_safe

    def __init__(self, rows: Rows, engine: AnsweringEngine, media: Path) -> None:
        self._rows = rows
        self._engine = engine
        self._media = media
        self._accounts: dict[str, UUID] = {}
        self._numbers = 0

    async def begin(self) -> None:
        self._accounts = {name: await self._rows.account(name, connected=False) for name in ("alice", "bob")}
        self._engine.whose = self._accounts["alice"]

    async def both_connected(self) -> bool:
        return bool(await self._rows.one("SELECT bool_and(connected) FROM account"))

    async def accept(
        self, text: str, *, stranger: bool = True, file: bytes | None = None, whose: str = "alice"
    ) -> UUID:
        self._numbers += 1
        to, lane = (f"49153{self._numbers:07}", "cold") if stranger else (FRIEND, "normal")
        media = await self._file(file, whose) if file is not None else None
        message = await self._rows.message(self._accounts[whose], text, to=to, lane=lane, due_in=3600)
        await self._rows.one("UPDATE message SET media_id = $2, due = now() WHERE id = $1", message, media)
        async with self._rows.db.connection() as connection:
            connection.tell(Topic.WORK, {self._accounts[whose]})
        return message

    async def _file(self, file: bytes, whose: str) -> UUID:
        media = await self._rows.file(whose, kind="image", size=len(file))
        path = self._media.with_name(str(media))
        path.write_bytes(file)
        await media_store(str(self._media)).put(media_key(self._rows.users[whose], media), path)
        return media

    async def answer(self, *answers: Answer) -> None:
        self._engine.answers = list(answers)

    async def arrived(self) -> list[Arrived]:
        return self._engine.arrived

    async def receipt(self, message_id: str, *, read: bool, by_stranger: bool = False) -> None:
        chat = await self._rows.one("SELECT recipient FROM message WHERE wa_id = $1", message_id)
        kind = "READ" if read else "DELIVERED"
        told = receipt(self._accounts["alice"], message_id, kind=kind, chat="491530" if by_stranger else chat)
        await self._engine.say(told)

    async def write(self, text: str, *, file: bytes | None = None) -> None:
        media = None if file is None else pb.Media(handle=pb.MediaHandle(media_key=file), mimetype="image/png")
        await self._engine.say(message(self._accounts["alice"], text=text, media=media))

    async def cut(self) -> None:
        await self._engine.say(state(self._accounts["alice"], "DISCONNECTED"))

    async def mend(self) -> None:
        await self._engine.say(state(self._accounts["alice"], "CONNECTED"))

    async def message(self, message: UUID) -> asyncpg.Record:
        row: asyncpg.Record = await self._rows.get(message)
        return row

    async def account(self) -> asyncpg.Record:
        async with self._rows.db.connection() as connection:
            query = "SELECT * FROM account WHERE id = $1"
            row: asyncpg.Record = await connection.fetchrow(query, self._accounts["alice"])
        return row

    async def inbound(self) -> list[asyncpg.Record]:
        async with self._rows.db.connection() as connection:
            query = "SELECT * FROM inbound WHERE account_id = $1"
            rows: list[asyncpg.Record] = await connection.fetch(query, self._accounts["alice"])
        return rows


@pytest.fixture
async def side(
    database_url: str, rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[EngineSide]:
    engine = AnsweringEngine()
    monkeypatch.setattr(worker, "EngineProcess", lambda *_, **__: OneProcess(engine))
    settings = Settings(
        _env_file=None,
        database_url=database_url,
        data_dir=tmp_path,
        pacing_gap_seconds=0,
        pacing_jitter_seconds=0,
        send_timeout_seconds=1,
        max_resends=RESENDS,
    )
    made = EngineSide(rows, engine, tmp_path / "media")
    await made.begin()
    stop = asyncio.Event()
    working = asyncio.create_task(worker._live(settings, database_url, stop))
    await until(made.both_connected)
    yield made
    stop.set()
    await asyncio.wait_for(working, 20)


class TestEngine(Sends, Prepares, Hears, Connects):
    """See there."""
