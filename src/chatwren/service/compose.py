"""A message that is not stored yet: read from what somebody gives, checked, and as the row that it becomes."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

from chatwren.domain.errors import Invalid
from chatwren.domain.fields import Reader
from chatwren.domain.ids import whatsapp_message_id
from chatwren.domain.recipients import Recipient, parse_recipient
from chatwren.domain.text import is_blank, parse_message
from chatwren.domain.times import ParsedTime, due_time, parse_moment, parse_time, told
from chatwren.domain.whereabouts import Whereabouts
from chatwren.media.prepare import PreparedFile
from chatwren.service.message_fields import parse_fields, parse_lane, parse_modifications
from chatwren.service.wording import changes_of
from chatwren.store.messages import NewRow
from chatwren.variation import Modifications, Rewrite, Variation

_LONGEST = timedelta(days=731)  # a message may be due 366 days ahead


@dataclass(frozen=True, slots=True)
class NewMessage:
    """What a caller wants sent. Nothing in it depends on when it was read: what is asked for again is equal.

    The order of its fields counts: see `idempotency.hash_of_message`.

    Attributes:
        due: when; None is now.
        seed: picks a previewed wording.
        fields: what fills `{{placeholders}}`.
        lane: urgent, normal or bulk; whether it is cold is found when it is stored.
        expires: after which no attempt to send it begins.
        rewrites: rewordings that its author approves.
        approve: see `message_fields.Asked`.
    """

    prefix: Literal["msg", "sched"]
    recipient: Recipient
    text: str
    due: ParsedTime | None = None
    modifications: Modifications | None = None
    seed: str | None = None
    fields: Mapping[str, str] | None = None
    media: PreparedFile | None = None
    lane: str = "normal"
    expires: ParsedTime | None = None
    rewrites: tuple[Rewrite, ...] | None = None
    approve: Literal["auto"] | None = None


def compose(
    reader: Reader,
    here: Whereabouts,
    *,
    prefix: Literal["msg", "sched"] | None = None,
    lane: str = "normal",
    with_file: bool = False,
    now: datetime | None = None,
) -> NewMessage:
    """The message that somebody asks for. Its fields are read here and nowhere else, wherever they come from.

    Args:
        here: where they were written.
        prefix: of the message's id; `sched` requires a time. None: `sched` if there is one.
        lane: where none is given.
        with_file: a file goes along, which the caller puts into `media`: the text may be empty.
        now: when the message counts as accepted, so that a time at which it cannot be due is told along with the rest.
            None: that is found by `due_at`.

    Raises:
        Invalid: names each field at fault.
    """
    recipient = reader.read("phoneId", partial(parse_recipient, country=here.country))
    text = reader.read("message", partial(parse_message, may_be_empty=with_file))
    due = reader.read("scheduledTime", partial(_parse_due, zone=here.zone, required=prefix == "sched", now=now))
    asked = reader.read("aiModifications", parse_modifications)
    fields = reader.read("fields", parse_fields)
    lane = reader.read("lane", partial(parse_lane, default=lane))
    expires = reader.read("expiresAt", partial(parse_moment, zone=here.zone))
    reader.check()
    return NewMessage(
        prefix or ("sched" if due else "msg"),
        recipient,
        text,
        due,
        asked.modifications,
        asked.seed,
        fields,
        lane=lane,
        expires=expires,
        rewrites=asked.rewrites,
        approve=asked.approve,
    )


def _parse_due(
    value: object, *, field: str, zone: Callable[[], str | None], required: bool, now: datetime | None
) -> ParsedTime | None:
    due = parse_time(value, zone=zone, field=field) if required else parse_moment(value, zone=zone, field=field)
    if due and now:
        due_time(due, now, field=field)
    return due


def due_at(new: NewMessage, accepted_at: datetime) -> datetime:
    """When a message is due.

    Raises:
        Invalid: that is past or over a year ahead, or the message would expire before it, or years ahead.
    """
    due = due_time(new.due, accepted_at) if new.due else accepted_at
    if new.expires is not None:
        check_expiry(new.expires, due=due, now=accepted_at)
    return due


def check_expiry(asked: ParsedTime, *, due: datetime, now: datetime) -> None:
    """Refuse to let a message expire at a moment.

    Raises:
        Invalid: it is not later than `due`, or more than two years ahead.
    """
    if asked.at <= due:
        raise expires_too_early(asked.at, due=due, zone=asked.zone())
    if asked.at - now > _LONGEST:
        means, is_now = (told(one, asked.zone()) for one in (asked.at, now))
        raise Invalid(
            f"expiresAt is more than {_LONGEST.days} days ahead: it means {means}, and the server's time is {is_now}.",
            field="expiresAt",
        )


def expires_too_early(at: datetime, *, due: datetime, zone: str | None) -> Invalid:
    """The error of a message that would expire before it is due."""
    return Invalid(
        "expiresAt must lie ahead, and be later than the time at which the message is due: "
        f"it means {told(at, zone)}, and the message is due {told(due, zone)}.",
        field="expiresAt",
    )


def row_of(
    new: NewMessage,
    variation: Variation,
    *,
    message_id: UUID,
    user_id: UUID,
    account_id: UUID,
    accepted_at: datetime,
    due: datetime,
    media_id: UUID | None = None,
    sid_hash: bytes | None = None,
    standing: int | None = None,
) -> NewRow:
    """The row that the message becomes, under a WhatsApp id of its own.

    Raises:
        Invalid: nothing of its words can be seen once they are filled, and no file goes along.
    """
    if new.media is None:
        check_filled(variation.text)
    return NewRow(
        id=message_id,
        user_id=user_id,
        account_id=account_id,
        prefix=new.prefix,
        recipient_kind=new.recipient.kind,
        recipient=new.recipient.value,
        text=variation.text,
        original=new.text,
        modifications=_modifications(new, variation),
        changes=changes_of(variation) if new.modifications else None,
        media_id=media_id,
        lane=new.lane,
        accepted_at=accepted_at,
        due=due,
        expires_at=new.expires.at if new.expires else None,
        wa_id=whatsapp_message_id(),
        sid_hash=sid_hash,
        standing=standing,
    )


def check_filled(text: str) -> None:
    """Refuse words that go alone, when nothing is left of them: placeholders without more, whose values are empty.

    Raises:
        Invalid: nothing of them can be seen.
    """
    if is_blank(text):
        raise Invalid("message is blank once its placeholders are filled.", field="message")


def _modifications(new: NewMessage, variation: Variation) -> dict[str, Any] | None:
    if new.modifications is None and new.fields is None:
        return None
    asked: dict[str, Any] = asdict(new.modifications or Modifications())
    if new.rewrites:
        asked["rewrites"] = [asdict(one) for one in new.rewrites]
    return {**asked, "seed": variation.seed, "fields": dict(new.fields) if new.fields is not None else None}
