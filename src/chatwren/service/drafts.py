"""A message that is not stored yet: what a caller wants sent, worded, and as the row that it becomes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

from chatwren.domain.errors import Invalid
from chatwren.domain.ids import whatsapp_message_id
from chatwren.domain.recipients import Recipient
from chatwren.domain.text import check_wire_length
from chatwren.media.prepare import PreparedFile
from chatwren.service.computing import Computing
from chatwren.store.messages import NewRow
from chatwren.variation import Modifications, Template, Variation, bounded, vary

_USUAL = 2_048
"""Characters of a text, and what fills it, that are worded in a few milliseconds."""
_LONGEST = timedelta(days=731)  # a message may be due 366 days ahead


@dataclass(frozen=True, slots=True)
class NewMessage:
    """What a caller wants sent.

    Attributes:
        due: when; None is now.
        lane: urgent, normal or bulk; whether it is cold is found when it is stored.
        expires_at: until when it is worth sending, counting only time in which the account cannot send.
        seed: picks a previewed wording.
        fields: what fills `{{placeholders}}`.
    """

    recipient: Recipient
    text: str
    due: datetime | None
    prefix: Literal["msg", "sched"]
    modifications: Modifications | None = None
    seed: str | None = None
    fields: Mapping[str, str] | None = None
    media: PreparedFile | None = None
    lane: str = "normal"
    expires_at: datetime | None = None


async def word(
    computing: Computing,
    user_id: UUID,
    text: str,
    modifications: Modifications | None,
    *,
    seed: str,
    fields: Mapping[str, str] | None,
) -> Variation:
    """The words that go out, varied as asked.

    Raises:
        Invalid: a placeholder has no value, or the text is too long, or not one that can be worded.
        TooMany: the user has as much of this under way as they may have (`limit_reached`).
    """
    work = partial(word_now, text, modifications, seed=seed, fields=fields)
    if modifications is None and fields is None:
        return work()
    if not takes_much(text, fields):
        return await computing.run(user_id, work)
    async with computing.much(user_id):
        return await computing.run(user_id, work, much=True)


def takes_much(text: str, fields: Mapping[str, str] | None) -> bool:
    """Whether wording a text may take more than a few milliseconds."""
    return len(text) + sum(map(len, (fields or {}).values())) > _USUAL


def word_now(
    text: str, modifications: Modifications | None, *, seed: str, fields: Mapping[str, str] | None
) -> Variation:
    """As `word`, in the calling thread."""
    if modifications is None and fields is None:
        # Nobody asked for templates: what looks like one is somebody's text, and goes out to the letter.
        check_wire_length(text)
        return Variation(text=text, changes=(), seed=seed, variants_possible=1, unchanged_because=None)
    return word_template(bounded(text), modifications or Modifications(), seed=seed, fields=fields)


def word_template(
    template: Template, modifications: Modifications, *, seed: str, fields: Mapping[str, str] | None
) -> Variation:
    """One wording of a text that may be worded more than once, in the calling thread.

    Raises:
        Invalid: a placeholder has no value, or the text is too long.
    """
    variation = vary(template, modifications, seed=seed, fields=fields)
    check_wire_length(variation.text)
    return variation


def row_of(
    new: NewMessage,
    variation: Variation,
    *,
    message_id: UUID,
    user_id: UUID,
    account_id: UUID,
    accepted_at: datetime,
    media_id: UUID | None = None,
    sid_hash: bytes | None = None,
) -> NewRow:
    """The row that the message becomes, under a WhatsApp id of its own."""
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
        due=new.due or accepted_at,
        expires_at=new.expires_at,
        wa_id=whatsapp_message_id(),
        sid_hash=sid_hash,
    )


def check_expiry(new: NewMessage, accepted_at: datetime) -> None:
    """Refuse a message that would expire before it is due, or years ahead.

    Raises:
        Invalid: it would.
    """
    if new.expires_at is not None:
        check_moment_of_expiry(new.expires_at, after=new.due or accepted_at, now=accepted_at)


def check_moment_of_expiry(at: datetime, *, after: datetime, now: datetime) -> None:
    """Refuse to let a message expire at a moment.

    Raises:
        Invalid: it is not later than `after`, or more than two years ahead.
    """
    if at <= after:
        raise expires_too_early()
    if at - now > _LONGEST:
        raise Invalid(f"expiresAt is more than {_LONGEST.days} days ahead.", field="expiresAt")


def expires_too_early() -> Invalid:
    """The error of a message that would expire before it is due."""
    return Invalid(
        "expiresAt must lie ahead, and be later than the time at which the message is due.", field="expiresAt"
    )


def changes_of(variation: Variation) -> list[dict[str, Any]]:
    """What was worded otherwise, as it is stored."""
    return [asdict(one) for one in variation.changes]


def _modifications(new: NewMessage, variation: Variation) -> dict[str, Any] | None:
    if new.modifications is None and new.fields is None:
        return None
    asked = asdict(new.modifications or Modifications())
    return {**asked, "seed": variation.seed, "fields": dict(new.fields) if new.fields is not None else None}
