"""Who speaks, who is spoken to and how, and who does what: told by pronouns, and by forms of verbs where these tell."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from chatwren.variation.lexicon import Lexicon

_REACH = 5  # words before a verb among which its subject is looked for
_SUBJECTS = frozenset({"we", "i", "you", "he", "she", "they"})
_VOS = re.compile(r"\w{2,}[áéí]s\Z")
_NO_VOS = frozenset({"además", "atrás", "detrás", "después", "jamás", "quizás", "través", "demás", "estás", "interés"})
_ROMANCE = ("usted", "voce")
_WE = re.compile(r"\w{2,}[aeiáéí]mos\Z")
_NO_WE = frozenset({"próximos", "últimos", "máximos", "mínimos", "mismos", "mesmos", "extremos", "términos", "termos"})
_A_GENTE = re.compile(r"(?:\A|[.,;:!?\n])\s*a gente(?![\w])", re.IGNORECASE)


def kinds(forms: Mapping[str, frozenset[str]], said: Iterable[str]) -> set[str]:
    """The kinds of forms of which a word is there."""
    words = set(said)
    found = {kind for kind, known in forms.items() if not known.isdisjoint(words)}
    if not forms.keys().isdisjoint(_ROMANCE) and any(_WE.search(word) and word not in _NO_WE for word in words):
        found.add("we")
    if "vos" in forms and any(_VOS.search(word) and word not in _NO_VOS for word in words):
        found.add("vos")
    return found


def other_person(old: set[str], new: set[str]) -> bool:
    """Whether other people speak, are spoken to or spoken of."""
    ours = {"we", "us"}
    return (
        bool((old ^ new) & {"i", "you", "he", "she", "they"})
        or ("we" in new and "we" not in old)
        or ("us" in new and not old & ours)
        or bool(old & ours and not new & {*ours, "our"})
    )


def other_address(old: set[str], new: set[str]) -> bool:
    """Whether the reader is spoken to in another form."""
    for kind in new - old:
        match kind:
            case "informal" if old & {"tu", "vos"} and "usted" not in old:
                continue
            case "tu" if "informal" in old and "vos" not in old:
                continue
            case "voce" if not old & {"tu", "senhor"}:
                continue
            case "aap" if not old & {"tum", "tu"}:
                continue
            case "informal" | "tu" | "vos" | "usted" | "voce" | "senhor" | "aap" | "tum":
                return True
    return False


def done(words: Sequence[str], known: Lexicon) -> Counter[str]:
    """What somebody other than the reader does in a sentence, as far as a pronoun says so."""
    done: Counter[str] = Counter()
    for place, word in enumerate(words):
        if word in known.actions:
            before = [one for one in words[max(0, place - _REACH) : place] if one in _SUBJECTS]
            if before and before[-1] != "you":
                done.update(known.concepts([word]))
    return done


def a_gente(text: str) -> bool:
    """Whether "a gente" does something: of Portuguese, where it stands before its verb."""
    return _A_GENTE.search(text) is not None
