"""The words that go out: a text varied as was asked, in a thread of its own turn where that takes much."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any
from uuid import UUID

from chatwren.domain.errors import Invalid
from chatwren.domain.text import check_wire_length
from chatwren.service.computing import Computing
from chatwren.variation import (
    Modifications,
    Reworded,
    Rewrite,
    RewriteRefused,
    Template,
    Variation,
    bounded,
    has_braces,
    held,
    literal,
    vary,
)

_USUAL = 2_048
"""Characters of a text, and what fills it, that are worded in a few milliseconds."""


async def word(
    computing: Computing,
    user_id: UUID,
    text: str,
    modifications: Modifications | None,
    *,
    seed: str,
    fields: Mapping[str, str] | None,
    rewrites: tuple[Rewrite, ...] | None = None,
) -> Variation:
    """The words that go out, varied as asked.

    Raises:
        Invalid: a placeholder has no value, the text is too long, or not one that can be worded, or the guard refuses
            one of the rewrites.
        TooMany: the user has as much of this under way as they may have (`limit_reached`).
    """
    work = partial(word_now, text, modifications, seed=seed, fields=fields, rewrites=rewrites)
    if modifications is None and fields is None and not has_braces(text):
        return work()
    if not takes_much(text, fields, rewrites):
        return await computing.run(user_id, work)
    async with computing.much(user_id):
        return await computing.run(user_id, work, much=True)


def takes_much(text: str, fields: Mapping[str, str] | None, rewrites: Sequence[Rewrite] | None = None) -> bool:
    """Whether wording a text may take more than a few milliseconds."""
    return bool(rewrites) or len(text) + sum(map(len, (fields or {}).values())) > _USUAL


def word_now(
    text: str,
    modifications: Modifications | None,
    *,
    seed: str,
    fields: Mapping[str, str] | None,
    rewrites: tuple[Rewrite, ...] | None = None,
) -> Variation:
    """As `word`, in the calling thread."""
    if modifications is None and fields is None:
        text = literal(text)  # nobody asked for alternatives: what looks like them is somebody's text
        check_wire_length(text)
        return Variation(text=text, changes=(), seed=seed, variants_possible=1, unchanged_because=None)
    usable = checked(text, rewrites)
    return word_template(bounded(text), modifications or Modifications(), seed=seed, fields=fields, rewrites=usable)


def checked(text: str, rewrites: tuple[Rewrite, ...] | None) -> tuple[Reworded, ...]:
    """Rewordings that somebody gives for a text, when the guard lets all of them pass.

    Raises:
        Invalid: it refuses one (`rewrite_refused`), or the text is not one that can be worded.
    """
    if not rewrites:
        return ()
    try:
        return held(text, rewrites)
    except RewriteRefused as error:
        field = f"aiModifications.rewrites[{error.number}]"
        raise Invalid(
            f"{field} does not say what message says ({', '.join(error.faults)}). Take it out; words of your own go "
            "into message, as {Hi|Hello}.",
            field=field,
            code="rewrite_refused",
        ) from None


def word_template(
    template: Template,
    modifications: Modifications,
    *,
    seed: str,
    fields: Mapping[str, str] | None,
    rewrites: Sequence[Reworded] = (),
) -> Variation:
    """One wording of a text that may be worded more than once, in the calling thread.

    Raises:
        Invalid: a placeholder has no value, or the text is too long.
    """
    variation = vary(template, modifications, seed=seed, fields=fields, rewrites=rewrites)
    check_wire_length(variation.text)
    return variation


def changes_of(variation: Variation) -> list[dict[str, Any]]:
    """What was worded otherwise, as it is stored."""
    return [asdict(one) for one in variation.changes]


async def check_stored(
    computing: Computing, user_id: UUID, original: str, modifications: Mapping[str, Any] | None
) -> None:
    """Refuse words that an older release took, with a placeholder that nothing fills.

    Raises:
        Invalid, TooMany: see `word`.
    """
    if "{{" in original:
        fields = (modifications or {}).get("fields")
        await word(computing, user_id, original, Modifications() if modifications else None, seed="", fields=fields)
