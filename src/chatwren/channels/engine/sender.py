"""How a claimed message reaches WhatsApp: its recipient's address, its file, its parts."""

import hashlib
from datetime import timedelta
from typing import Protocol

import structlog

from chatwren.channels.engine.client import Engine, EngineError, EngineRefused, NotOpen
from chatwren.channels.engine.model import Media
from chatwren.channels.results import NotSent, NotSentReason, Refused, Result, Sent, Unknown
from chatwren.domain import reasons
from chatwren.domain.errors import NotFound, Unavailable
from chatwren.media.objects import MediaStore
from chatwren.settings import Settings
from chatwren.store import contacts
from chatwren.store.database import CLASHES, UNREACHABLE, Database
from chatwren.store.fenced.messages import Claimed, ClaimedFile
from chatwren.store.files import media_key

log = structlog.get_logger(__name__)

_CAPTION = 1_024  # characters of a caption that WhatsApp takes


class Engines(Protocol):
    """Where the engine is."""

    @property
    def current(self) -> Engine:
        """The running engine; raises EngineError while there is none."""


class EngineSender:
    """Sends through the engine."""

    resend_is_safe = True
    address_age = timedelta(days=30)
    upload_age = timedelta(days=3)  # WhatsApp's servers keep files for longer, but say not how long

    def __init__(self, db: Database, engines: Engines, media_store: MediaStore, settings: Settings) -> None:
        self._db = db
        self._engines = engines
        self._media_store = media_store
        self._wait = settings.send_timeout_seconds

    async def send(self, message: Claimed) -> Result:
        """Try once. What fails before the message itself is sent has certainly not left."""
        try:
            engine = self._engines.current
        except EngineError as error:
            return NotSent(NotSentReason.NOT_OPEN, error.message)
        try:
            to = await self._address(engine, message)
            if to is None:
                return Refused(reasons.NOT_ON_WHATSAPP)
            media = await self._media(engine, message, message.file) if message.file else None
        except NotFound:
            return Refused(reasons.MEDIA_MISSING)
        except EngineRefused as error:
            log.warning("sender.refused", message=str(message.id), error=error.message)
            return Refused(reasons.MEDIA_REFUSED if message.file else reasons.UNSENDABLE, error.message)
        except NotOpen as error:
            return NotSent(NotSentReason.NOT_OPEN, error.message)
        except (EngineError, Unavailable) as error:
            return NotSent(NotSentReason.LOCAL, error.message)
        except (*UNREACHABLE, *CLASHES) as error:
            return NotSent(NotSentReason.NOT_CONNECTED, f"database: {error!r}")
        result = await self._send(engine, message, to, media)
        if result == Refused(reasons.NOT_ON_WHATSAPP) and message.jid is not None:
            async with self._db.connection() as connection:
                await contacts.forget_address(connection, message.account, message.recipient)
        return result

    async def _send(self, engine: Engine, message: Claimed, to: str, media: Media | None) -> Result:
        async def part(message_id: str, text: str, media: Media | None) -> Result:
            return await engine.send(
                message.account, message.epoch, to=to, message_id=message_id, text=text, media=media, wait=self._wait
            )

        if message.file is None or len(message.text) <= (0 if message.file.kind == "audio" else _CAPTION):
            return await part(message.wa_id, message.text, media)
        # The file does not carry the text, so that this is two messages. The one that receipts are counted by is the
        # last, the text: when it is acknowledged, all is out. Until then both go again under their ids.
        file = await part(file_id(message.wa_id), "", media)
        if not isinstance(file, Sent):
            return file
        text = await part(message.wa_id, message.text, None)
        return Unknown(f"only its file is out: {text.detail}") if isinstance(text, NotSent) else text

    async def _address(self, engine: Engine, message: Claimed) -> str | None:
        """The JID that the message goes to; None where the number is not on WhatsApp."""
        if message.recipient_kind != "phone":
            return message.recipient
        if message.jid is not None:
            return message.jid
        jid = await engine.address_of(message.account, message.epoch, message.recipient)
        if jid is not None:
            async with self._db.connection() as connection:
                await contacts.remember_address(connection, message.account, message.recipient, jid)
        return jid

    async def _media(self, engine: Engine, message: Claimed, file: ClaimedFile) -> Media:
        handle = file.handle
        if handle is None:
            chunks = await self._media_store.open(media_key(message.user, file.id))
            handle = await engine.upload(message.account, message.epoch, file.kind, chunks)
            async with self._db.connection() as connection:
                await contacts.remember_upload(connection, file.id, message.account, handle)
        return Media(
            handle=handle,
            mimetype=file.mimetype,
            file_name=file.file_name if file.kind == "document" else "",
            width=file.width,
            height=file.height,
            seconds=file.seconds,
            thumbnail=file.thumbnail,
        )


def file_id(wa_id: str) -> str:
    """The WhatsApp id of the file that goes before the text with this id; the same for every re-send."""
    return wa_id[:4] + hashlib.sha256(f"{wa_id} audio".encode()).hexdigest()[:18].upper()
