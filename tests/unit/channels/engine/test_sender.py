"""How a claimed message reaches the engine: whom is asked for what, and what each failure on the way means."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from chatwren.channels.engine.client import EngineError, EngineRefused, NotOpen
from chatwren.channels.engine.sender import EngineSender, file_id
from chatwren.channels.results import NotSent, NotSentReason, Refused, Sent, Unknown
from chatwren.domain import reasons
from chatwren.media.objects import MediaStore, media_store
from chatwren.settings import Settings
from chatwren.store.database import Database
from chatwren.store.fenced.messages import Claimed
from chatwren.store.files import media_key
from tests.rows import Rows
from tests.unit.channels.engine.told_engine import OneEngine, ToldEngine
from tests.unit.delivery.test_claim import claim, may_go_on

pytestmark = pytest.mark.anyio

Claim = Callable[..., Awaitable[Claimed]]


@pytest.fixture
def engine() -> ToldEngine:
    return ToldEngine()


@pytest.fixture
def store(tmp_path: Path) -> MediaStore:
    return media_store(str(tmp_path / "media"))


@pytest.fixture
def sender(db: Database, engine: ToldEngine, store: MediaStore, settings: Settings) -> EngineSender:
    return EngineSender(db, OneEngine(engine), store, settings)


@pytest.fixture
async def claimed(rows: Rows, store: MediaStore, tmp_path: Path) -> Claim:
    """Accepts a message, perhaps with a file, and claims it."""
    account, worker = await rows.account("alice"), await rows.worker()
    await rows.own(worker)
    upload = tmp_path / "upload"
    upload.write_bytes(b"content")

    async def next_one(*, text: str = "hello", kind: str | None = None, media: UUID | None = None) -> Claimed:
        if kind is not None:
            media = await rows.file(kind=kind, size=7)
            await store.put(media_key(rows.users["alice"], media), upload)
        message = await rows.message(account, text)
        await rows.one("UPDATE message SET media_id = $2 WHERE id = $1", message, media)
        (claimed,) = await claim(rows.db, worker, account)
        await may_go_on(rows, account)
        return claimed

    return next_one


async def test_an_address_is_asked_for_once(
    rows: Rows, engine: ToldEngine, sender: EngineSender, claimed: Claim
) -> None:
    for _ in range(2):
        message = await claimed()
        assert await sender.send(message) == Sent(message.wa_id)
    assert engine.count("address") == 1
    assert [to for name, _, to in engine.asked if name == "send"] == ["1@lid", "1@lid"]
    engine.results = [Refused(reasons.NOT_ON_WHATSAPP)]  # the number has changed hands
    assert await sender.send(await claimed()) == Refused(reasons.NOT_ON_WHATSAPP)
    assert await rows.one("SELECT checked_at IS NULL FROM contact")
    await sender.send(await claimed())
    assert engine.count("address") == 2


async def test_a_number_that_is_not_on_whatsapp_is_never_sent_to(
    engine: ToldEngine, sender: EngineSender, claimed: Claim
) -> None:
    engine.jid = None
    assert await sender.send(await claimed()) == Refused(reasons.NOT_ON_WHATSAPP)
    assert not engine.sent


async def test_a_group_needs_no_address(rows: Rows, engine: ToldEngine, sender: EngineSender, claimed: Claim) -> None:
    message = await claimed()
    await rows.one("UPDATE message SET recipient_kind = 'group', recipient = '1203@g.us', status = 'waiting',"
                   " sent_at = NULL")  # fmt: skip
    (group,) = await claim(rows.db, await rows.one("SELECT worker_id FROM lease"), message.account)
    assert await sender.send(group) == Sent(group.wa_id)
    assert engine.count("address") == 0


async def test_a_file_is_uploaded_once_and_goes_with_each_message(
    rows: Rows, engine: ToldEngine, sender: EngineSender, claimed: Claim
) -> None:
    await sender.send(await claimed(kind="document"))
    media = await rows.one("SELECT id FROM media")
    await sender.send(await claimed(media=media))
    assert [more for name, _, more in engine.asked if name == "upload"] == [("document", b"content")]
    assert [one and (one.handle, one.file_name) for _, _, one in engine.sent] == [(b"handle", "a.txt")] * 2


async def test_a_recording_with_a_text_is_two_messages_of_which_the_text_is_the_last(
    engine: ToldEngine, sender: EngineSender, claimed: Claim
) -> None:
    message = await claimed(kind="audio")
    assert await sender.send(message) == Sent(message.wa_id)
    assert [(wa_id, text) for wa_id, text, _ in engine.sent] == [
        (file_id(message.wa_id), ""),
        (message.wa_id, "hello"),
    ]
    assert file_id(message.wa_id) != message.wa_id
    assert [media is not None for _, _, media in engine.sent] == [True, False]


@pytest.mark.parametrize("result", [NotSent(NotSentReason.FENCED), Unknown(), Refused(reasons.rejected(479))], ids=repr)
async def test_a_recording_that_did_not_go_is_followed_by_no_text(
    engine: ToldEngine, sender: EngineSender, claimed: Claim, result: Any
) -> None:
    engine.results = [result]
    assert await sender.send(await claimed(kind="audio")) == result
    assert len(engine.sent) == 1


async def test_when_half_of_it_is_out_it_may_be_out(engine: ToldEngine, sender: EngineSender, claimed: Claim) -> None:
    engine.results = [Sent("audio"), NotSent(NotSentReason.NOT_CONNECTED)]
    assert isinstance(await sender.send(await claimed(kind="audio")), Unknown)


@pytest.mark.parametrize("kind", ["image", "video", "document"])
async def test_a_text_longer_than_a_caption_goes_after_the_file(
    engine: ToldEngine, sender: EngineSender, claimed: Claim, kind: str
) -> None:
    fits, longer = "ü" * 1_024, "ü" * 1_025
    one = await claimed(text=fits, kind=kind)
    assert await sender.send(one) == Sent(one.wa_id)
    two = await claimed(text=longer, kind=kind)
    assert await sender.send(two) == Sent(two.wa_id)
    assert [(wa_id, text, media is not None) for wa_id, text, media in engine.sent] == [
        (one.wa_id, fits, True),
        (file_id(two.wa_id), "", True),
        (two.wa_id, longer, False),
    ]


async def test_a_long_text_alone_is_one_message(engine: ToldEngine, sender: EngineSender, claimed: Claim) -> None:
    message = await claimed(text="x" * 9_000)
    assert await sender.send(message) == Sent(message.wa_id)
    assert [wa_id for wa_id, _, _ in engine.sent] == [message.wa_id]


async def test_a_recording_without_a_text_is_one_message(
    engine: ToldEngine, sender: EngineSender, claimed: Claim
) -> None:
    message = await claimed(text="", kind="audio")
    assert await sender.send(message) == Sent(message.wa_id)
    assert [wa_id for wa_id, _, _ in engine.sent] == [message.wa_id]


async def test_without_an_engine_it_never_left(
    db: Database, store: MediaStore, settings: Settings, claimed: Claim
) -> None:
    sender = EngineSender(db, OneEngine(None), store, settings)
    result = await sender.send(await claimed())
    assert isinstance(result, NotSent)
    assert result.reason is NotSentReason.NOT_OPEN


@pytest.mark.parametrize(
    ("step", "error", "reason"),
    [
        ("address", EngineError("not now"), NotSentReason.LOCAL),
        ("upload", EngineError("not now"), NotSentReason.LOCAL),
        ("address", NotOpen("by another worker"), NotSentReason.NOT_OPEN),
        ("upload", NotOpen("by another worker"), NotSentReason.NOT_OPEN),
        ("address", ConnectionResetError(), NotSentReason.NOT_CONNECTED),
        ("upload", asyncpg.AdminShutdownError("the database"), NotSentReason.NOT_CONNECTED),
    ],
)
async def test_what_fails_before_the_message_itself_has_never_left(
    engine: ToldEngine, sender: EngineSender, claimed: Claim, step: str, error: Exception, *, reason: NotSentReason
) -> None:
    engine.errors = {step: [error]}
    result = await sender.send(await claimed(kind="image" if step == "upload" else None))
    assert isinstance(result, NotSent)
    assert result.reason is reason
    assert not engine.sent


async def test_what_is_refused_for_good_says_whether_the_file_is_at_fault(
    rows: Rows, engine: ToldEngine, sender: EngineSender, store: MediaStore, claimed: Claim
) -> None:
    engine.errors = {"address": [EngineRefused("no")], "upload": [EngineRefused("no")]}
    assert await sender.send(await claimed()) == Refused(reasons.UNSENDABLE, "no")
    assert await sender.send(await claimed(kind="image")) == Refused(reasons.MEDIA_REFUSED, "no")
    message = await claimed(kind="image")
    assert message.file is not None
    await store.delete(media_key(rows.users["alice"], message.file.id))
    assert await sender.send(message) == Refused(reasons.MEDIA_MISSING)
