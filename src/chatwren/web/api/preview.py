"""Seeing how the words of a message may vary, without sending it."""

from typing import Annotated

from litestar import post
from msgspec import Meta, Struct

from chatwren.domain.caller import Scope
from chatwren.domain.errors import Invalid
from chatwren.domain.text import parse_message
from chatwren.service import messages
from chatwren.service.message_fields import parse_fields, parse_modifications
from chatwren.variation import Modifications, explain
from chatwren.web.access import caller
from chatwren.web.api.message_shapes import Change, Fields
from chatwren.web.api.message_shapes import Modifications as Allowed
from chatwren.web.api.queue_fields import parse_count
from chatwren.web.api.reasons import WhyNot
from chatwren.web.context import HttpRequest, context
from chatwren.web.forms import read_form
from chatwren.web.http.bodies import MAX_FIELDS_BYTES
from chatwren.web.openapi import Operation
from chatwren.web.presence import while_there

_MAX_VARIANTS = 20
_DEFAULT_VARIANTS = 5


class PreviewBody(Struct, rename="camel"):
    """A text, and how its words may vary."""

    message: Annotated[str, Meta(examples=["Thank you for shopping with us!"])]
    ai_modifications: Allowed = None
    variants: Annotated[int, Meta(description="How many wordings to show.", ge=1, le=_MAX_VARIANTS)] = _DEFAULT_VARIANTS
    fields: Fields = None


class Variant(Struct):
    """One wording. As `aiModifications.seed` its seed words the message so again."""

    text: str
    seed: str
    changes: list[Change]


class Preview(Struct, rename="camel"):
    """How the text may go out."""

    variants: list[Variant]
    variants_possible: Annotated[int, Meta(description="How many wordings there are; counted up to a million.")]
    spintax: Annotated[
        str | None,
        Meta(
            description="All of these wordings and the text's own, as a text to edit and send: `{Hi|Hello} "
            "{{name}}`. What was in braces is escaped, placeholders are kept. null where it would be longer than the "
            "65,536 bytes of a message, where the text's own spintax can become more than eight texts or long ones or "
            "has code beside it, and where it could not be read as it is meant.",
            examples=["{Thank you for|Thanks for} shopping with us!"],
        ),
    ]
    unchanged_because: Annotated[WhyNot | None, Meta(description="Why it stays as it is.", examples=[None])]


@post(
    "/api/messages/preview",
    status_code=200,
    operation=Operation(
        "Preview the wordings of a message",
        Preview,
        access=Scope.READ,
        description="Nothing is stored or sent. Send the message with the `seed` of the wording that you like as "
        "`aiModifications.seed`.",
        body=PreviewBody,
        errors=(429,),
    ),
)
async def preview(request: HttpRequest) -> Preview:
    """Show different wordings of a text."""
    user = caller(request).user
    async with read_form(request, at_most=MAX_FIELDS_BYTES) as form:
        text = form.read("message", parse_message)
        modifications, _ = form.read("aiModifications", parse_modifications) or (Modifications(), None)
        variants = form.read("variants", _parse_variants)
        fields = form.read("fields", parse_fields)
        form.check()
    found = await while_there(
        request,
        messages.preview(context(request).computing, user.id, text, modifications, variants=variants, fields=fields),
    )
    shown = found.shown
    because = shown[0].unchanged_because
    return Preview(
        [
            Variant(one.text, one.seed, [Change(change.rule, change.before, change.after) for change in one.changes])
            for one in shown
        ],
        shown[0].variants_possible,
        found.spintax,
        WhyNot(because, explain(because)) if because else None,
    )


def _parse_variants(value: object, *, field: str) -> int:
    number = parse_count(str(value) if type(value) is int else value, field=field, default=_DEFAULT_VARIANTS)
    if number > _MAX_VARIANTS:
        raise Invalid(f"{field} must be at most {_MAX_VARIANTS}.", field=field)
    return number
