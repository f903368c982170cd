"""Greetings that are sentences of their own: "Hi!", where a text begins with its matter, "Your order …"."""

from collections.abc import Sequence
from functools import cache

from chatwren.variation import tables
from chatwren.variation.marks import Marks
from chatwren.variation.phrases import Index, Phrase, Text
from chatwren.variation.rules import Site

_LONGEST = 400  # characters: a longer text is more than a message


@cache
def _matters(language: str) -> Index[None]:
    return Index((Phrase(f"^{line}"), None) for line in tables.read("languages")["exclaimed"]["matters"][language])


@cache
def _said(language: str) -> tuple[str, ...]:
    return tuple(tables.read("languages")["exclaimed"]["say"][language])


@cache
def _greetings() -> tuple[str, ...]:
    data = tables.read("languages")
    return (*data["greetings"], *data["exclaimed"]["greeted"])


def exclaimed(text: Text, languages: Sequence[str], marks: Marks) -> Site | None:
    """The beginning of the text, if a greeting may stand there, or None.

    Args:
        text: masked; neither formal nor sober, and not one that gets no emojis for what it says.
        languages: in which it is written.
        marks: its marks.
    """
    if len(text.text) > _LONGEST or text.text[:1].islower() or any(map(text.says, _greetings())):
        return None
    for language in languages:
        for _, hit in _matters(language).found(text):
            if hit.start == 0 and not marks.forbid(hit, frozenset()):
                said = tuple(f"{text.spelled(one)} " for one in _said(language))
                return Site(f"{language}/opening", 0, 0, said, "")
    return None
