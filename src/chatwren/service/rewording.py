"""A language model rewords a text, if the operator has set one: once, while a message is composed, never as it goes.

It is asked about the text without its facts and names, and what it says is used where the guard lets it pass. Whatever
goes wrong, the tables word the message alone, and the author is told why.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from uuid import UUID

from chatwren.domain.errors import Unavailable
from chatwren.domain.fairness import FairPlaces
from chatwren.domain.limits import Limit, reached
from chatwren.net.rewriter import NoAnswer, Rewriter
from chatwren.service import throttling
from chatwren.service.computing import Computing
from chatwren.service.limits import Limits
from chatwren.settings import Settings
from chatwren.store.database import Database
from chatwren.variation import Rewrite, Template, bounded, explain
from chatwren.variation.masks import TooManyTokens
from chatwren.variation.pipeline import check_filled, fill, unchanged_by_model
from chatwren.variation.question import Question
from chatwren.variation.rewrites import MOST_CHARACTERS, survivors

_SECONDS = 10.0
"""How long an author waits for a model, its turn included."""
_AT_ONCE = 4
_MOST_WAITING = 100
_WINDOW = timedelta(minutes=10)
_LEAST = 3
"""Rewordings. Fewer vary a text less than the tables, and come from a model that is not up to it."""


class NotReworded(StrEnum):
    """Why a model's words are not used, beside the reasons for which no words are changed. Codes are stable."""

    OFF = "rewriter_off"
    SPINTAX = "rewriter_spintax"
    TOO_LONG = "rewriter_too_long"
    TEXT = "rewriter_text"
    TIMEOUT = "rewriter_timeout"
    BUSY = "rewriter_busy"
    UNREACHABLE = "rewriter_unreachable"
    REFUSED = "rewriter_refused"
    BAD_ANSWER = "rewriter_bad_answer"
    TOO_FEW = "rewriter_too_few"


_SENTENCES = {
    NotReworded.OFF: "No language model is set up on this server.",
    NotReworded.SPINTAX: "The text has alternatives of its own ({a|b}), so no language model is asked.",
    NotReworded.TOO_LONG: f"A language model is asked about texts of up to {MOST_CHARACTERS:,} characters.",
    NotReworded.TEXT: "The text has signs by which its facts could not be told apart, as [[.",
    NotReworded.TIMEOUT: f"The language model took longer than {_SECONDS:.0f} seconds.",
    NotReworded.BUSY: "Too many texts wait for the language model.",
    NotReworded.UNREACHABLE: "The language model cannot be reached, or it broke off.",
    NotReworded.REFUSED: "The language model's server refused.",
    NotReworded.BAD_ANSWER: "The language model's answer could not be read.",
    NotReworded.TOO_FEW: "Too few of the language model's rewordings keep what the text says.",
}


def why_not_reworded(code: str) -> str:
    """The sentence for a code of `NotReworded`, or of those for which no words are changed.

    Raises:
        ValueError: `code` is none of them.
    """
    return _SENTENCES[NotReworded(code)] if code in set(NotReworded) else explain(code)


@dataclass(frozen=True, slots=True)
class Rewordings:
    """What came of asking.

    Attributes:
        model: the name of the model; None: there is none.
        rewrites: what may be used.
        refused: how many the guard refused, and such as say the same words as another.
        because: a code, where nothing may.
    """

    model: str | None
    rewrites: tuple[Rewrite, ...] = ()
    refused: int = 0
    because: str | None = None


class Rewording:
    """What one web process asks the operator's model."""

    def __init__(self, db: Database, limits: Limits, computing: Computing, rewriter: Rewriter | None) -> None:
        self._db = db
        self._limits = limits
        self._computing = computing
        self._rewriter = rewriter
        self._places = FairPlaces(_AT_ONCE, most_waiting=_MOST_WAITING)

    async def ask(self, user_id: UUID, text: str, fields: Mapping[str, str] | None) -> Rewordings:
        """Rewordings of a text, or why there are none.

        Args:
            fields: what fills its placeholders; they tell what it is about, and are sent to nobody.

        Raises:
            Invalid: a placeholder has no value, or the text is not one that can be worded.
            TooMany: the user has asked as often as they may (`limit_reached`).
        """
        if self._rewriter is None:
            return Rewordings(None, because=NotReworded.OFF)
        rewriter = self._rewriter
        none = partial(Rewordings, rewriter.model)
        asked = await self._computing.run(user_id, partial(_question, text, dict(fields or {})), much=True)
        if isinstance(asked, str):
            return none(because=asked)
        template, question = asked
        allowed = await self._limits.of(user_id, Limit.REWORDINGS)
        if not await throttling.take(self._db, "rewording", str(user_id), window=_WINDOW, at_most=allowed):
            raise reached(Limit.REWORDINGS, allowed)
        try:
            async with asyncio.timeout(_SECONDS), self._places.turn(user_id):
                answer = await rewriter.ask(question.messages)
        except TimeoutError:
            return none(because=NotReworded.TIMEOUT)
        except Unavailable:
            return none(because=NotReworded.BUSY)
        except NoAnswer as error:
            return none(because=NotReworded(f"rewriter_{error.why}"))
        read = partial(_read, template, question, answer, rewriter.model)
        found = await self._computing.run(user_id, read, much=True)
        if found is None:
            return none(because=NotReworded.BAD_ANSWER)
        kept, refused = found
        if len(kept) < _LEAST:
            return none(refused=refused + len(kept), because=NotReworded.TOO_FEW)
        return none(rewrites=tuple(kept), refused=refused)

    async def close(self) -> None:
        """Close the connections to the model."""
        if self._rewriter is not None:
            await self._rewriter.close()


def rewriter_of(settings: Settings) -> Rewriter | None:
    """The operator's model; None where there is none."""
    if settings.rewriter_url is None or settings.rewriter_model is None:
        return None
    return Rewriter(settings.rewriter_url, settings.rewriter_model, settings.rewriter_key)


def _question(text: str, fields: dict[str, str]) -> tuple[Template, Question] | str:
    """What to ask, or the code of why not."""
    template = bounded(text)
    check_filled(template, fields)
    if template.count > 1:
        return NotReworded.SPINTAX
    if len(text) > MOST_CHARACTERS:
        return NotReworded.TOO_LONG
    pieces, _ = template.resolve(0)
    if because := unchanged_by_model(pieces, fill(pieces, fields)):
        return because
    try:
        return template, Question(pieces)
    except (ValueError, TooManyTokens):
        return NotReworded.TEXT


def _read(template: Template, question: Question, answer: str, model: str) -> tuple[list[Rewrite], int] | None:
    """What may be used of an answer, and how many may not; None: it cannot be read."""
    texts = question.templates(answer)
    if texts is None:
        return None
    kept = survivors(template, (Rewrite(one, model) for one in texts))
    return kept, len(texts) - len(kept)
