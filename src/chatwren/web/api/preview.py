"""Seeing how the words of a message may vary, without sending it."""

from typing import Annotated

from litestar import post
from msgspec import UNSET, Meta, Struct, UnsetType

from chatwren.domain.caller import Scope
from chatwren.domain.errors import Invalid
from chatwren.domain.text import parse_boolean, parse_message
from chatwren.service import messages
from chatwren.service.message_fields import parse_fields, parse_modifications
from chatwren.service.rewording import Rewordings, why_not_reworded
from chatwren.variation import Modifications, explain
from chatwren.web.access import caller
from chatwren.web.api.message_shapes import Change, Fields, Rewrite
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
    rewriter: Annotated[
        bool,
        Meta(
            description="Ask the language model that this server may have for rewordings of the text. It is told the "
            "text without facts and names, and what it says is held against the text. Takes up to 10 seconds."
        ),
    ] = False


class Variant(Struct):
    """One wording. As `aiModifications.seed` its seed words the message so again."""

    text: str
    seed: str
    changes: list[Change]


class Rewriter(Struct, rename="camel"):
    """What the language model said. Nothing of it goes out unless you send it as `aiModifications.rewrites`."""

    model: Annotated[str | None, Meta(description="null where none is set up.", examples=["llama3.2"])]
    rewrites: Annotated[list[Rewrite], Meta(description="What keeps what the text says. The variants are drawn of it.")]
    refused: Annotated[int, Meta(description="How many rewordings do not, or repeat another.", examples=[2])]
    unchanged_because: Annotated[
        WhyNot | None, Meta(description="Why none of its words are used; the tables word alone then.", examples=[None])
    ]


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
    rewriter: Annotated[Rewriter | UnsetType, Meta(description="Where that was asked for.")] = UNSET


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
        asked = form.read("aiModifications", parse_modifications)
        variants = form.read("variants", _parse_variants)
        fields = form.read("fields", parse_fields)
        rewriter = form.read("rewriter", parse_boolean)
        form.check()
    here = context(request)
    said = await while_there(request, here.rewording.ask(user.id, text, fields)) if rewriter else None
    found = await while_there(
        request,
        messages.preview(
            here.computing,
            user.id,
            text,
            asked.modifications or Modifications(),
            variants=variants,
            fields=fields,
            rewrites=said.rewrites if said else asked.rewrites,
        ),
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
        _rewriter(said) if said else UNSET,
    )


def _rewriter(said: Rewordings) -> Rewriter:
    return Rewriter(
        said.model,
        [Rewrite(one.text, one.model) for one in said.rewrites],
        said.refused,
        WhyNot(said.because, why_not_reworded(said.because)) if said.because else None,
    )


def _parse_variants(value: object, *, field: str) -> int:
    number = parse_count(str(value) if type(value) is int else value, field=field, default=_DEFAULT_VARIANTS)
    if number > _MAX_VARIANTS:
        raise Invalid(f"{field} must be at most {_MAX_VARIANTS}.", field=field)
    return number
