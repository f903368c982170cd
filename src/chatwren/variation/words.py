"""Words: what counts as one, in scripts whose vowel signs Python does not count as letters."""

import re

# Apostrophes and hyphens bind: "we" is no word of "we're", "hi" none of "hi-fi".
LETTER = r"\w\u0300-\u036f\u0900-\u0963\u0966-\u097f\u200c\u200d'’\-"
WORD = re.compile(rf"[{LETTER}]+")


def words(text: str) -> list[str]:
    """The words of a text in order, in lower case, with plain apostrophes."""
    return [word.strip("-'") for word in WORD.findall(text.lower().replace("’", "'"))]


def plain(word: str) -> str:
    """A word as `words` gives it."""
    return word.lower().replace("’", "'").strip("-'")


_ACCENTS = str.maketrans("áàâãéêíóôõúüçÁÀÂÃÉÊÍÓÔÕÚÜÇ", "aaaaeeiooouucAAAAEEIOOOUUC")
_ACCENTED = re.compile("[áàâãéêíóôõúüç]")
# These words are others without their accents: tú and tu, está and esta, é and e. So are Spanish forms of verbs with
# the accent on the end, pasó and paso; few words that end so are not.
_PAIRS = frozenset(
    """él tú mí sí sé dé té más qué cómo cuándo dónde quién quiénes cuál cuáles cuánto cuánta cuántos cuántas está estás
    esté estés estén están aún sólo porqué papá mamá é à às só nós dá pôr pôde têm lá avó avô mês
    país secretária número fábrica término público práctica""".split()  # noqa: SIM905
)
_ALIKE = frozenset(
    "já olá acá até café después após através atrás detrás además jamás quizá quizás ojalá oxalá".split()  # noqa: SIM905
)
_ENDS = re.compile("[áéó]s?$")


def unaccented(text: str) -> str:
    """A text without the accents that Spanish and Portuguese are often written without. ñ stays: it is a letter."""
    return text if text.isascii() else text.translate(_ACCENTS)


def is_accented(text: str) -> bool:
    """Whether it has such an accent."""
    return not text.isascii() and bool(_ACCENTED.search(text))


def needs_accent(word: str, *, bare: bool = False) -> bool:
    """Whether a word, in lower case, may be another one without its accents.

    Args:
        word: the word.
        bare: whether it stands in a text without accents, where "paso" may well be pasó, but "que" is que.
    """
    return word in _PAIRS or (not bare and bool(_ENDS.search(word)) and word not in _ALIKE)
