"""The shapes of requests and answers about messages."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from chatwren.domain.clock import to_wire
from chatwren.domain.reasons import sentence
from chatwren.service import message_view
from chatwren.service.message_view import QueuedMessage
from chatwren.web.api.reasons import WhyNot, why_not
from chatwren.web.openapi import DAY_AFTER, TOMORROW, Time

DEFAULT_LIMIT = 10
MAX_LIMIT = 100


class Rewrite(Struct):
    """A rewording of the text, as a preview gives it."""

    text: Annotated[str, Meta(examples=["Thanks for shopping with us!"])]
    model: Annotated[str, Meta(description="What wrote it.", examples=["llama3.2"])]


class AiModifications(Struct, rename="camel"):
    """How the words may vary from message to message. A form sends it as a JSON text.

    Tables of phrases do it, no language model unless you ask: in English, Hinglish, Hindi, Spanish and Portuguese.
    Some messages stay as they are.
    """

    use_synonyms: Annotated[
        bool,
        Meta(
            description="Say some phrases in other words that mean the same, and greet where the text does not.",
            examples=[True],
        ),
    ] = False
    add_emojis: Annotated[
        bool, Meta(description="Add an emoji where one fits, and swap those of the text.", examples=[True])
    ] = False
    shuffle_sentences: Annotated[
        bool, Meta(description="Let sentences that do not depend on each other change places.", examples=[False])
    ] = False
    seed: Annotated[
        str | None, Meta(description="Any text: the same seed words the same message alike. Left out: by chance.")
    ] = None
    rewrites: Annotated[
        list[Rewrite] | None,
        Meta(
            description="Of a preview with `rewriter`, those that you approve. One of them or the text is drawn, then "
            "varied by the tables. One that does not say what the text says is 400.",
            examples=[None],
        ),
    ] = None
    approve: Annotated[
        Literal["author", "auto"],
        Meta(
            description="auto: the server's language model is asked before the message is accepted, once, and nobody "
            "looks at what the guard lets pass. Not for rows of a bulk.",
            examples=["author"],
        ),
    ] = "author"


Recipient = Annotated[
    str,
    Meta(description="Number with country code, in any spelling, or a group's id (…@g.us).", examples=["+1234567890"]),
]
Fields = Annotated[
    dict[str, str] | None, Meta(description="What replaces {{placeholders}}. A form sends it as a JSON text.")
]


Modifications = Annotated[
    AiModifications | None,
    Meta(
        description="How words may vary: useSynonyms, addEmojis, shuffleSentences, and seed for a previewed wording. "
        "Tables of phrases do it, no language model: in English, Hinglish, Hindi, Spanish and Portuguese. A text that "
        'has no greeting may get one ("Hi, your order is ready"), as a part of useSynonyms; some '
        "messages stay as they are, which the preview explains. No fact is changed. Whether varied words keep a number "
        "from being restricted or banned is not known. A form sends it as a JSON text.",
        examples=[{"useSynonyms": True, "addEmojis": True, "shuffleSentences": False}],
    ),
]


Lane = Annotated[
    Literal["urgent", "normal", "bulk"],
    Meta(
        description="urgent (codes that somebody waits for) goes first, bulk last. Messages to contacts who have "
        "neither written nor been reached go in a lane of their own, `cold`, with a daily cap; urgent ones excepted.",
        examples=["normal"],
    ),
]
ExpiresAt = Annotated[
    str | None,
    Meta(
        description="ISO 8601. No attempt begins after it, whatever the message waits for: it expires. Left out: it "
        "expires when the account could not send (offline, logged out) for 24 hours since it was due.",
    ),
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
    scheduled_time: Annotated[
        str | None,
        Meta(description="ISO 8601, at most 366 days ahead. Without a zone it is read in the user's. Left out: now."),
    ] = None
    ai_modifications: Modifications = None
    fields: Fields = None
    lane: Lane = "normal"
    expires_at: ExpiresAt = None


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
    ai_modifications: Modifications = None
    fields: Fields = None
    lane: Lane = "normal"
    expires_at: ExpiresAt = None


class Change(Struct):
    """What was worded otherwise, and by which rule."""

    rule: str
    before: str
    after: str


class AcceptedMessage(Struct, rename="camel"):
    """The message is stored, durably, and goes out when it is due."""

    success: Annotated[bool, Meta(examples=[True])]
    message_id: Annotated[
        str,
        Meta(
            description="Begins with msg_, or with sched_ when it comes from schedule.",
            examples=["msg_0197a3f2c9e07c3b9d5f8e6a41b2c3d4"],
        ),
    ]
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
    sent_at: Annotated[
        Time | None, Meta(description="Null until WhatsApp has it: look before you make a date of it, or it is 1970.")
    ]
    original: Annotated[str, Meta(description="What was asked for.", examples=["Hello!"])]
    accepted_at: Time
    lane: Annotated[Literal["urgent", "normal", "cold", "bulk"], Meta(examples=["normal"])]
    expires_at: Annotated[Time | None, Meta(description="No attempt begins after it.", examples=[None])]
    receipt: Annotated[
        Literal["delivered", "read"] | None, Meta(description="Null until its phone has it.", examples=["read"])
    ]
    delivered_at: Annotated[Time | None, Meta(description="Null until then.")]
    read_at: Annotated[Time | None, Meta(description="Null until then.")]
    reason: Annotated[WhyNot | None, Meta(description="Why it waits, or failed.", examples=[None])]
    next_attempt_at: Annotated[Time | None, Meta(description="When it is tried next.", examples=[None])]
    next_attempt_is_estimate: Annotated[
        bool,
        Meta(description="Others go before it: by the usual pace, if nothing comes between.", examples=[False]),
    ]
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
    pages: Annotated[int, Meta(description="0 where there is no message.", examples=[1])]
    total_is_at_least: Annotated[bool | UnsetType, Meta(description="There are more than `total`.")] = UNSET
    next_cursor: Annotated[
        str | UnsetType, Meta(description="As `cursor`, the page after this one; quick however deep.")
    ] = UNSET


class Queue(Struct):
    """A page of the user's messages, newest first."""

    messages: list[Message]
    pagination: Pagination


class QueueQuery(Struct, rename={"since": "from", "bulk_id": "bulkId"}):
    """Which messages to list."""

    page: Annotated[int, Meta(description="From 1.", ge=1)] = 1
    limit: Annotated[int, Meta(description="Messages a page; more than 100 counts as 100.", ge=1)] = DEFAULT_LIMIT
    status: Annotated[
        Literal["scheduled", "queued", "sending", "sent", "failed", "cancelled", "expired"] | None,
        Meta(description="Only these."),
    ] = None
    to: Annotated[str | None, Meta(description="Only to this recipient.")] = None
    q: Annotated[str | None, Meta(description="Only those whose text contains this.")] = None
    since: Annotated[str | None, Meta(description="Only those due from here on.")] = None
    until: Annotated[str | None, Meta(description="Only those due before.")] = None
    bulk_id: Annotated[str | None, Meta(description="Only those of this bulk.")] = None
    cursor: Annotated[str | None, Meta(description="`nextCursor` of the page before; `page` counts from there.")] = None


class ChangeBody(Struct, rename="camel"):
    """What to change of a message that waits. What is left out stays."""

    message: Annotated[str | None, Meta(examples=["Hello again!"])] = None
    scheduled_time: Annotated[str | None, Meta(examples=[TOMORROW])] = None
    expires_at: Annotated[
        str | None, Meta(description="When it expires; null: not at a time any more.", examples=[DAY_AFTER])
    ] = None


class CancelBody(Struct, rename={"since": "from", "bulk_id": "bulkId"}):
    """Which messages to cancel: those that match all that is given."""

    status: Annotated[Literal["scheduled", "queued"] | None, Meta(description="Only these.", examples=["queued"])] = (
        None
    )
    to: Annotated[str | None, Meta(description="Only to this recipient.")] = None
    q: Annotated[str | None, Meta(description="Only those whose text contains this.")] = None
    since: Annotated[str | None, Meta(description="Only those due from here on.")] = None
    until: Annotated[str | None, Meta(description="Only those due before.")] = None
    bulk_id: Annotated[
        str | None, Meta(description="Only those of this bulk; what it has not accepted yet ends too.")
    ] = None
    all: Annotated[bool, Meta(description="True where nothing else is given: everything that waits.")] = False


class Cancelled(Struct):
    """They will not go out."""

    success: Annotated[bool, Meta(examples=[True])]
    cancelled: Annotated[int, Meta(description="How many.", examples=[3])]


def change_list(changes: list[dict[str, Any]]) -> list[Change]:
    """Changes as answers write them."""
    return [Change(one["rule"], one["before"], one["after"]) for one in changes]


def message_shape(one: QueuedMessage) -> Message:
    """A message as answers write it."""
    return Message(
        id=one.id,
        to=one.to,
        message=one.message,
        status=one.status.value,
        scheduled_for=to_wire(one.scheduled_for),
        sent_at=to_wire(one.sent_at) if one.sent_at else None,
        original=one.original,
        accepted_at=to_wire(one.accepted_at),
        lane=one.lane,  # type: ignore[arg-type]
        expires_at=to_wire(one.expires_at) if one.expires_at else None,
        receipt=one.receipt,
        delivered_at=to_wire(one.delivered_at) if one.delivered_at else None,
        read_at=to_wire(one.read_at) if one.read_at else None,
        reason=why_not(one.reason),
        next_attempt_at=to_wire(one.next_attempt.at) if one.next_attempt else None,
        next_attempt_is_estimate=one.next_attempt is not None and one.next_attempt.estimated,
        attempts=one.attempts,
        media=msgspec.convert(one.media, MediaFile) if one.media else None,
        changes=change_list(one.changes) if one.changes is not None else None,
    )


def step_shape(one: message_view.TimelineStep) -> TimelineStep:
    """A step of a message's timeline as answers write it."""
    detail = f"number {one.number}" if one.number is not None else None
    return TimelineStep(to_wire(one.at), one.step, sentence(one.reason) if one.reason else detail)
