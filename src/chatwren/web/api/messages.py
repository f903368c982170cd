"""Sending, scheduling and following messages."""

import hashlib
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath
from msgspec import UNSET, Meta, Struct, UnsetType

from chatwren.domain.clock import now, to_wire
from chatwren.domain.errors import Invalid
from chatwren.domain.ids import parse_message_id
from chatwren.domain.messages import Shown
from chatwren.domain.recipients import parse_recipient
from chatwren.domain.text import absent, parse_boolean, parse_message, required_text
from chatwren.domain.times import ParsedTime, due_time, parse_time, zone_of_country
from chatwren.service import media_files, messages, whatsapp
from chatwren.service.message_view import QueuedMessage
from chatwren.service.messages import NewMessage
from chatwren.service.users import User
from chatwren.variation import Modifications
from chatwren.web.api.whatsapp import WhyNot, why_not
from chatwren.web.context import HttpRequest, context, signed_in
from chatwren.web.forms import read_form, read_query
from chatwren.web.openapi import JSON, MULTIPART, TOMORROW, URLENCODED, Operation, Time

_FILE = "mediaFile"
_DEFAULT_LIMIT = 10
_MAX_LIMIT = 100
_MAX_PAGE = 10**9  # further on every list has ended
_MAX_SHORT = 200
_MAX_FIELDS = 100


class AiModifications(Struct, rename="camel"):
    """How the words may vary from message to message. A form sends it as a JSON text."""

    use_synonyms: Annotated[bool, Meta(examples=[True])] = False
    add_emojis: Annotated[bool, Meta(examples=[True])] = False
    shuffle_sentences: Annotated[bool, Meta(examples=[False])] = False
    seed: Annotated[str | None, Meta(description="Of a wording that an earlier answer showed.")] = None


Recipient = Annotated[
    str,
    Meta(description="Number with country code, in any spelling, or a group's id (…@g.us).", examples=["+1234567890"]),
]
Fields = Annotated[
    dict[str, str] | None, Meta(description="What replaces {{placeholders}}. A form sends it as a JSON text.")
]


class SendBody(Struct, rename="camel"):
    """A message to go out now, or at `scheduledTime`."""

    phone_id: Recipient
    message: Annotated[str, Meta(description="May be empty beside a file.", examples=["Hello!"])]
    media_file: Annotated[
        str | UnsetType,
        Meta(
            description="An image, video, sound (16 MB) or document (100 MB).", extra_json_schema={"format": "binary"}
        ),
    ] = UNSET
    scheduled_time: Annotated[str | None, Meta(description="ISO 8601. Left out: now.")] = None
    ai_modifications: AiModifications | None = None
    fields: Fields = None


class ScheduleBody(Struct, rename="camel"):
    """A message to go out at `scheduledTime`."""

    phone_id: Recipient
    message: Annotated[
        str, Meta(description="May be empty beside a file.", examples=["Hello, this is a scheduled message!"])
    ]
    scheduled_time: Annotated[
        str,
        Meta(
            description="ISO 8601, at most 366 days ahead. Without a zone it is read in the user's time zone.",
            examples=[TOMORROW],
        ),
    ]
    media_file: Annotated[
        str | UnsetType, Meta(description="With multipart/form-data.", extra_json_schema={"format": "binary"})
    ] = UNSET
    ai_modifications: Annotated[
        AiModifications | None,
        Meta(examples=[{"useSynonyms": True, "addEmojis": True, "shuffleSentences": False}]),
    ] = None
    fields: Fields = None


class Change(Struct):
    """What was worded otherwise, and by which rule."""

    rule: str
    before: str
    after: str


class AcceptedMessage(Struct, rename="camel"):
    """The message is stored, durably, and goes out when it is due."""

    success: Annotated[bool, Meta(examples=[True])]
    message_id: Annotated[str, Meta(examples=["msg_0197a3f2c9e07c3b9d5f8e6a41b2c3d4"])]
    scheduled_for: Time
    warnings: Annotated[list[str] | UnsetType, Meta(description="What a person should know.")] = UNSET
    time_zone: Annotated[str | UnsetType, Meta(description="By which a time without a zone was read.")] = UNSET
    preview: Annotated[str | UnsetType, Meta(description="The text that will go, with aiModifications.")] = UNSET
    changes: list[Change] | UnsetType = UNSET


class MediaFile(Struct, rename="camel"):
    """The file of a message; its bytes are at /api/media/{id}."""

    id: str
    kind: Literal["image", "video", "audio", "document"]
    mimetype: str
    file_name: str
    size: Annotated[int, Meta(description="Bytes.")]


class Message(Struct, rename="camel"):
    """A message in the queue."""

    id: Annotated[str, Meta(examples=["msg_0197a3f2c9e07c3b9d5f8e6a41b2c3d4"])]
    to: Annotated[str, Meta(examples=["+1234567890"])]
    message: Annotated[str, Meta(description="What was or will be sent.", examples=["Hello!"])]
    status: Annotated[
        Literal["scheduled", "queued", "sending", "sent", "failed", "cancelled", "expired"], Meta(examples=["sent"])
    ]
    scheduled_for: Time
    sent_at: Annotated[Time | None, Meta(description="Null until WhatsApp has it.")]
    original: Annotated[str, Meta(description="What was asked for.", examples=["Hello!"])]
    accepted_at: Time
    receipt: Annotated[Literal["delivered", "read"] | None, Meta(examples=["read"])]
    delivered_at: Time | None
    read_at: Time | None
    reason: Annotated[WhyNot | None, Meta(description="Why it waits, or failed.", examples=[None])]
    next_attempt_at: Annotated[Time | None, Meta(examples=[None])]
    attempts: Annotated[int, Meta(examples=[1])]
    media: Annotated[MediaFile | None, Meta(examples=[None])]
    changes: Annotated[list[Change] | None, Meta(examples=[None])]


class TimelineStep(Struct):
    """One thing that happened to a message."""

    at: Time
    step: Annotated[str, Meta(examples=["accepted"])]
    detail: str | None


class FollowedMessage(Message):
    """A message, and what has happened to it so far."""

    timeline: list[TimelineStep]


class Pagination(Struct, rename="camel"):
    """Where in the list a page is."""

    page: Annotated[int, Meta(examples=[1])]
    limit: Annotated[int, Meta(examples=[10])]
    total: Annotated[int, Meta(examples=[1])]
    pages: Annotated[int, Meta(examples=[1])]
    total_is_at_least: Annotated[bool | UnsetType, Meta(description="There are more than `total`.")] = UNSET
    next_cursor: Annotated[
        str | UnsetType, Meta(description="As `cursor`, the page after this one; quick however deep.")
    ] = UNSET


class Queue(Struct):
    """A page of the user's messages, newest first."""

    messages: list[Message]
    pagination: Pagination


class QueueQuery(Struct, rename={"since": "from"}):
    """Which messages to list."""

    page: Annotated[int, Meta(description="From 1.", ge=1)] = 1
    limit: Annotated[int, Meta(description="Messages a page; more than 100 counts as 100.", ge=1)] = _DEFAULT_LIMIT
    status: Annotated[
        Literal["scheduled", "queued", "sending", "sent", "failed", "cancelled", "expired"] | None,
        Meta(description="Only these."),
    ] = None
    to: Annotated[str | None, Meta(description="Only to this recipient.")] = None
    q: Annotated[str | None, Meta(description="Only those whose text contains this.")] = None
    since: Annotated[str | None, Meta(description="Only those due from here on.")] = None
    until: Annotated[str | None, Meta(description="Only those due before.")] = None
    cursor: Annotated[str | None, Meta(description="`nextCursor` of the page before; `page` counts from there.")] = None


class ChangeBody(Struct, rename="camel"):
    """What to change of a message that waits. What is left out stays."""

    message: Annotated[str | None, Meta(examples=["Hello again!"])] = None
    scheduled_time: Annotated[str | None, Meta(examples=[TOMORROW])] = None


_BY_ID = {"message_id": "`messageId` of the answer that accepted it."}


@post(
    "/api/messages/send",
    status_code=200,
    operation=Operation(
        "Send a message",
        AcceptedMessage,
        description="200 means that the message is on disk; follow it in the queue. With the header Idempotency-Key, "
        "repeating the same request within 24 hours gives the same answer and sends nothing twice.",
        body=SendBody,
        body_types=(MULTIPART, JSON, URLENCODED),
        errors=(409,),
    ),
)
async def send(request: HttpRequest) -> AcceptedMessage:
    """Accept a message for now, or for later."""
    return await _accept(request, "msg")


@post(
    "/api/messages/schedule",
    status_code=200,
    operation=Operation(
        "Schedule a message",
        AcceptedMessage,
        description="As send, with a time. `aiModifications` vary the words; the answer shows the text that will go.",
        body=ScheduleBody,
        body_types=(JSON, MULTIPART, URLENCODED),
        errors=(409,),
    ),
)
async def schedule(request: HttpRequest) -> AcceptedMessage:
    """Accept a message for later."""
    return await _accept(request, "sched")


@get(
    "/api/messages/queue",
    operation=Operation("Get the message queue", Queue, query=QueueQuery),
)
async def queue(request: HttpRequest) -> Queue:
    """A page of the user's messages."""
    user = await signed_in(request)
    query = read_query(request)
    timed = not (absent(query.peek("from")) and absent(query.peek("until")))
    zone = await _zone(request, user, country=None) if timed else None
    page = query.read("page", partial(_parse_count, default=1))
    limit = query.read("limit", partial(_parse_count, default=_DEFAULT_LIMIT))
    status = query.read("status", _parse_status)
    to = None if absent(query.peek("to")) else query.read("to", parse_recipient)
    text = query.read("q", _parse_short)
    since = query.read("from", partial(_parse_moment, zone=zone))
    until = query.read("until", partial(_parse_moment, zone=zone))
    cursor = query.read("cursor", _parse_cursor)
    query.check()
    limit = min(limit, _MAX_LIMIT)
    found = await messages.page(
        context(request).db,
        user.id,
        page=min(page, _MAX_PAGE),
        limit=limit,
        status=status,
        to=to.value if to else None,
        q=text,
        since=since.at if since else None,
        until=until.at if until else None,
        cursor=cursor,
    )
    return Queue(
        [_message(one) for one in found.messages],
        Pagination(
            page=page,
            limit=limit,
            total=found.total,
            pages=-(-found.total // limit),
            total_is_at_least=True if found.total_is_at_least else UNSET,
            next_cursor=found.messages[-1].id if len(found.messages) == limit else UNSET,
        ),
    )


@get(
    "/api/messages/{message_id:str}",
    operation=Operation("Follow a message", FollowedMessage, path=_BY_ID, errors=(404,)),
)
async def message(request: HttpRequest, message_id: FromPath[str]) -> FollowedMessage:
    """One message with its timeline."""
    user = await signed_in(request)
    found, timeline = await messages.get(context(request).db, user.id, parse_message_id(message_id))
    return FollowedMessage(
        **msgspec.structs.asdict(_message(found)),
        timeline=[TimelineStep(to_wire(one.at), one.step, one.detail) for one in timeline],
    )


@patch(
    "/api/messages/{message_id:str}",
    operation=Operation(
        "Change a message that waits",
        Message,
        description="409 once it may be out.",
        body=ChangeBody,
        path=_BY_ID,
        errors=(404, 409),
    ),
)
async def change(request: HttpRequest, message_id: FromPath[str]) -> Message:
    """Reschedule or rewrite a message."""
    user = await signed_in(request)
    row_id = parse_message_id(message_id)
    async with read_form(request) as form:
        zone = await _zone(request, user, country=None) if not absent(form.peek("scheduledTime")) else None
        text = form.read("message", parse_message) if form.given("message") else None
        when = form.read("scheduledTime", partial(_parse_moment, zone=zone))
        form.check()
    due = due_time(when.at, now()) if when else None
    if due is None and text is None:
        raise Invalid("Give message, scheduledTime or both.", code="nothing_to_change")
    return _message(await messages.change(context(request).db, user.id, row_id, due=due, text=text))


@delete(
    "/api/messages/{message_id:str}",
    status_code=200,
    operation=Operation(
        "Cancel a message", Message, description="409 once it may be out.", path=_BY_ID, errors=(404, 409)
    ),
)
async def cancel(request: HttpRequest, message_id: FromPath[str]) -> Message:
    """Cancel a message that waits."""
    user = await signed_in(request)
    return _message(await messages.cancel(context(request).db, user.id, parse_message_id(message_id)))


async def _accept(request: HttpRequest, prefix: Literal["msg", "sched"]) -> AcceptedMessage:
    user = await signed_in(request)
    key = _idempotency_key(request)
    async with read_form(request, files=(_FILE,)) as form:
        country = None if _is_international(form.peek("phoneId")) else await _country(request, user)
        timed = prefix == "sched" or not absent(form.peek("scheduledTime"))
        zone = await _zone(request, user, country=country) if timed else None
        upload = form.file(_FILE)
        recipient = form.read("phoneId", partial(parse_recipient, country=country))
        text = form.read("message", partial(parse_message, may_be_empty=upload is not None))
        when = form.read("scheduledTime", partial(parse_time, zone=zone)) if timed else None
        modifications, seed = form.read("aiModifications", _parse_modifications) or (None, None)
        fields = form.read("fields", _parse_fields)
        form.check()
        due = due_time(when.at, now()) if when else None
        file = (
            await media_files.prepare(upload.path, file_name=upload.file_name, content_type=upload.content_type)
            if upload
            else None
        )
        accepted = await messages.accept(
            context(request).db,
            context(request).media,
            user,
            NewMessage(recipient, text, due, prefix, modifications, seed, fields, file),
            idempotency_key=key,
            request_hash=_fingerprint(
                prefix,
                recipient.display,
                text,
                to_wire(when.at) if when else None,
                modifications,
                seed,
                fields,
                file.received_sha256 if file else None,
            ),
        )
    warnings = list(accepted.warnings)
    if when and when.assumed_zone:
        warnings.append(f"scheduledTime has no time zone and was read in {when.assumed_zone}.")
    return AcceptedMessage(
        success=True,
        message_id=accepted.id,
        scheduled_for=to_wire(accepted.scheduled_for),
        warnings=warnings or UNSET,
        time_zone=when.assumed_zone if when and when.assumed_zone else UNSET,
        preview=accepted.preview if accepted.preview is not None else UNSET,
        changes=_changes(accepted.changes) if accepted.changes is not None else UNSET,
    )


async def _country(request: HttpRequest, user: User) -> str | None:
    return await whatsapp.account_country(context(request).db, user.id)


async def _zone(request: HttpRequest, user: User, *, country: str | None) -> str | None:
    """Name of the zone by which the user means a time without one; None if nothing tells it."""
    known = user.time_zone or context(request).settings.timezone
    return known or zone_of_country(country or await _country(request, user))


def _is_international(written: object) -> bool:
    """Whether the country of the account does not matter to what the recipient is. A short cut for most requests."""
    return isinstance(written, str) and written.lstrip().startswith("+")


def _idempotency_key(request: HttpRequest) -> str | None:
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > _MAX_SHORT or not (key.isascii() and key.isprintable()):
        raise Invalid(f"Idempotency-Key must be at most {_MAX_SHORT} ASCII characters.", field="Idempotency-Key")
    return key or None


def _fingerprint(*parts: object) -> bytes:
    return hashlib.sha256(msgspec.json.encode(parts)).digest()


def _parse_moment(value: object, *, field: str, zone: str | None) -> ParsedTime | None:
    return None if absent(value) else parse_time(value, zone=zone, field=field)


def _parse_count(value: object, *, field: str, default: int) -> int:
    if absent(value):
        return default
    digits = value.strip() if isinstance(value, str) else ""
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(_MAX_PAGE)) and int(digits) > 0):
        raise Invalid(f"{field} must be a whole number from 1.", field=field)
    return int(digits)


def _parse_status(value: object, *, field: str) -> Shown | None:
    if absent(value):
        return None
    try:
        return Shown(str(value))
    except ValueError:
        raise Invalid(f"{field} must be one of {', '.join(Shown)}.", field=field) from None


def _parse_short(value: object, *, field: str) -> str | None:
    if absent(value):
        return None
    text = required_text(value, field=field)
    if len(text) > _MAX_SHORT:
        raise Invalid(f"{field} is longer than {_MAX_SHORT} characters.", field=field)
    return text


def _parse_cursor(value: object, *, field: str) -> UUID | None:
    return None if absent(value) else parse_message_id(required_text(value, field=field))


def _object(value: object, field: str) -> dict[str, Any]:
    """A JSON object, or the JSON text of one, as a form sends it."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise Invalid(f"{field} must be a JSON object.", field=field)
    return value


def _parse_modifications(value: object, *, field: str) -> tuple[Modifications, str | None] | None:
    if absent(value):
        return None
    members = _object(value, field)
    return (
        Modifications(
            use_synonyms=parse_boolean(members.get("useSynonyms"), field=f"{field}.useSynonyms"),
            add_emojis=parse_boolean(members.get("addEmojis"), field=f"{field}.addEmojis"),
            shuffle_sentences=parse_boolean(members.get("shuffleSentences"), field=f"{field}.shuffleSentences"),
        ),
        _parse_short(members.get("seed"), field=f"{field}.seed"),
    )


def _parse_fields(value: object, *, field: str) -> dict[str, str] | None:
    if absent(value):
        return None
    members = _object(value, field)
    if len(members) > _MAX_FIELDS:
        raise Invalid(f"{field} has more than {_MAX_FIELDS} members.", field=field)
    return {
        required_text(name, field=field): "" if absent(one) else required_text(one, field=f"{field}.{name}")
        for name, one in members.items()
    }


def _changes(changes: list[dict[str, Any]]) -> list[Change]:
    return [Change(one["rule"], one["before"], one["after"]) for one in changes]


def _message(one: QueuedMessage) -> Message:
    return Message(
        id=one.id,
        to=one.to,
        message=one.message,
        status=one.status.value,
        scheduled_for=to_wire(one.scheduled_for),
        sent_at=to_wire(one.sent_at) if one.sent_at else None,
        original=one.original,
        accepted_at=to_wire(one.accepted_at),
        receipt=one.receipt,
        delivered_at=to_wire(one.delivered_at) if one.delivered_at else None,
        read_at=to_wire(one.read_at) if one.read_at else None,
        reason=why_not(one.reason),
        next_attempt_at=to_wire(one.next_attempt_at) if one.next_attempt_at else None,
        attempts=one.attempts,
        media=msgspec.convert(one.media, MediaFile) if one.media else None,
        changes=_changes(one.changes) if one.changes is not None else None,
    )
