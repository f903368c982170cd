"""Why something waits or ended, as answers write it."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from chatwren.domain.clock import to_wire
from chatwren.domain.reasons import Reason, next_step, sentence
from chatwren.web.openapi import Time

WAYS = {
    "link": "GET /api/whatsapp/createqr",
    "release": "POST /api/whatsapp/release",
    "cancel": "DELETE /api/messages/{id}",
}
"""By which routes somebody does what a reason says can be done."""


class WhyNot(Struct, rename="camel"):
    """Why something waits or ended."""

    code: Annotated[str, Meta(description="Stable: programs may depend on it.", examples=["offline"])]
    message: Annotated[str, Meta(examples=["The connection to WhatsApp is down; it is being opened again."])]
    since: Annotated[Time | UnsetType, Meta(description="Since when, where that is known.")] = UNSET
    until: Annotated[Time | UnsetType, Meta(description="Until when, where that is known.")] = UNSET
    next_step: Annotated[str | UnsetType, Meta(description="What a person can do about it.")] = UNSET


def why_not(reason: Reason | None) -> WhyNot | None:
    """A reason as answers write it."""
    if reason is None:
        return None
    return WhyNot(
        reason.code,
        sentence(reason),
        since=to_wire(reason.since) if reason.since else UNSET,
        until=to_wire(reason.until) if reason.until else UNSET,
        next_step=next_step(reason, WAYS) or UNSET,
    )
