"""What may be done to a text: counted, drawn by a number, carried out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from chatwren.variation.emoji import Own, Spot, is_grave, own, spots
from chatwren.variation.exclaimed import exclaimed
from chatwren.variation.invariants import broken, fewest, most
from chatwren.variation.language import is_formal
from chatwren.variation.marks import Marks
from chatwren.variation.masks import Masked
from chatwren.variation.model import Change, Modifications
from chatwren.variation.moves import Run, runs
from chatwren.variation.opening import Opening, opening
from chatwren.variation.phrases import Text
from chatwren.variation.rules import Site, sites
from chatwren.variation.sentences import Sentence, split

_AROUND = 24  # characters beside a wording that are looked at with it: as it may make one word with what stands there


@dataclass(frozen=True, slots=True)
class Wording:
    """One wording of a masked text, and what was done.

    Attributes:
        text: masked.
        changes: unmasked, in reading order of each kind.
        failed: the invariant that does not hold, or None.
    """

    text: str
    changes: tuple[Change, ...]
    failed: str | None


@dataclass(frozen=True)
class Plan:
    """Everything that may be done to a masked text. Each choice is made by itself, and all of them together hold."""

    text: str
    languages: Sequence[str]
    sentences: list[Sentence]
    sites: list[Site]
    runs: list[Run]
    spots: list[Spot]
    own: list[Own]
    opening: Opening | None = None

    @property
    def _counts(self) -> list[int]:
        """How many ways there are to make each choice. The first of each is the text's own."""
        return [
            *(len(site.wordings) + 1 for site in self.sites),
            *(run.orders for run in self.runs),
            *(len(spot.emojis) + 1 for spot in self.spots),
            *(len(one.emojis) + 1 for one in self.own),
            len(self.opening.greetings) + 1 if self.opening else 1,
        ]

    @cached_property
    def possible(self) -> int:
        """How many wordings there are beside the text's own."""
        return prod(self._counts) - 1

    def wording(self, index: int, unmask: Callable[[str], str]) -> Wording:
        """The wording with a number from 1 to `possible`; 0 is the text's own."""
        made = _made(index, self._counts)
        worded = [(site, site.wordings[choice - 1]) for site in self.sites if (choice := next(made))]
        orders = [(run, run.order(choice)) for run in self.runs if (choice := next(made))]
        added = [(spot, spot.emojis[choice - 1]) for spot in self.spots if (choice := next(made))]
        swapped = [(one, one.emojis[choice - 1]) for one in self.own if (choice := next(made))]

        parts = self._worded(worded)
        kept = "".join(self._joined(self._worded([(site, site.kept) for site, _ in worded]), ()))
        after = "".join(self._joined(parts, orders))
        failed = broken(self.text, after, kept=kept, shuffled=bool(orders), languages=self.languages)
        changes = [Change(site.rule, unmask(self.text[site.start : site.end]), unmask(said)) for site, said in worded]
        for run, order in orders:
            before, after = (" ".join(parts[number] for number in numbers) for numbers in (run.sentences, order))
            changes.append(Change("move", unmask(before), unmask(after)))
        for spot, emoji in added:
            bare = unmask(parts[spot.sentence])
            parts[spot.sentence] += f" {emoji}"
            changes.append(Change(spot.rule, bare, f"{bare} {emoji}"))
        text = "".join(self._joined(parts, orders))
        for one, emoji in swapped:
            changes.append(Change("emoji/own", unmask(one.token), emoji))
            text = one.replaced(text, emoji)
        if self.opening and (choice := next(made)):
            text, opened = self.opening.before(self.opening.greetings[choice - 1], text), text
            first = len(opened.split(maxsplit=1)[0])
            greeted = text[: len(text) - len(opened) + first]
            changes.insert(0, Change(self.opening.rule, unmask(opened[:first]), unmask(greeted)))
        return Wording(text, tuple(changes), failed)

    def _worded(self, worded: Sequence[tuple[Site, str]]) -> list[str]:
        """The sentences with the chosen wordings in them."""
        parts = []
        for sentence in self.sentences:
            position, made = sentence.start, []
            for site, said in worded:
                if sentence.start <= site.start < sentence.end:
                    made += [self.text[position : site.start], said]
                    position = site.end
            parts.append("".join((*made, self.text[position : sentence.end])))
        return parts

    def _joined(self, parts: Sequence[str], orders: Sequence[tuple[Run, tuple[int, ...]]]) -> list[str]:
        """The sentences in their new order, with what lies between them where it was."""
        places = {old: new for run, order in orders for old, new in zip(run.sentences, order, strict=True)}
        made, position = [], 0
        for number, sentence in enumerate(self.sentences):
            made += [self.text[position : sentence.start], parts[places.get(number, number)]]
            position = sentence.end
        return [*made, self.text[position:]]


def _made(index: int, counts: Sequence[int]) -> Iterator[int]:
    """The choices that a number stands for."""
    for count in counts:
        index, choice = divmod(index, count)
        yield choice


def plan(text: Text, masked: Masked, languages: Sequence[str], allowed: Modifications, *, sober: bool) -> Plan:
    """What may be done to a text.

    Args:
        text: masked.
        masked: the same, with what its tokens stand for.
        languages: in which it is written.
        allowed: what the caller asks for.
        sober: whether it gets words alone: no emoji, and no sentence moves.
    """
    formal = {language: is_formal(text, language) for language in languages}
    sentences = split(text.text)
    marks = Marks(text, sentences, languages, masked.weighty())
    found = sites(text, languages, formal, marks) if allowed.use_synonyms else []
    casual = not sober and not any(formal.values())
    cheerful = allowed.add_emojis and casual
    found = [site for site in found if _within_one(site, sentences)]
    moving = runs(text, sentences, languages) if allowed.shuffle_sentences and not sober else []
    swapped = own(text.text, masked.emojis()) if cheerful else []
    greeted: Opening | None = None
    if allowed.use_synonyms and casual and len(languages) == 1:
        greeted = opening(text, sentences, languages[-1], sites=found, runs=moving, dates=masked.dates())
    if greeted and any(one.token == greeted.first for one in swapped):
        greeted = None  # what begins the text may go, and its space with it
    if allowed.use_synonyms and casual and not is_grave(text, languages):
        site = exclaimed(text, languages, marks)
        if site and greeted:
            greeted = greeted.with_more(site.wordings)
        elif site and _within_one(site, sentences):
            found = [site, *found]
    kept = _surviving(text.text, languages, found)
    return Plan(
        text.text,
        languages,
        sentences,
        kept,
        moving,
        spots(text, sentences, languages, marks) if cheerful else [],
        swapped,
        greeted,
    )


def _within_one(site: Site, sentences: Sequence[Sentence]) -> bool:
    return any(sentence.start <= site.start and site.end <= sentence.end for sentence in sentences)


def _surviving(text: str, languages: Sequence[str], found: Sequence[Site]) -> list[Site]:
    """The sites with those wordings that pass the check, by themselves and all together.

    Only the length hangs on several of them: what comes first in the text takes of the room that there is.
    """
    more, less = most(len(text)) - len(text), len(text) - fewest(len(text))
    kept = []
    for site in found:
        holding = [said for said in site.wordings if _holds(text, languages, site, said)]
        grown = {said: len(said) - (site.end - site.start) for said in holding}
        fitting = {said: grows for said, grows in grown.items() if -less <= grows <= more}
        if fitting:
            kept.append(replace(site, wordings=tuple(fitting)))
            more -= max(0, *fitting.values())
            less -= max(0, *(-grows for grows in fitting.values()))
    return kept


def _holds(text: str, languages: Sequence[str], site: Site, said: str) -> bool:
    """Whether a wording passes the check by itself, but for the length, which only the whole has."""
    before, after = text[max(0, site.start - _AROUND) : site.start], text[site.end : site.end + _AROUND]
    whole = text[site.start : site.end].join((before, after))
    kept = f"{before} {site.kept} {after}"
    return broken(whole, f"{before}{said}{after}", kept=kept, languages=languages) in {None, "length"}
