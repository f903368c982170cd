"""Masks: everything that must arrive exactly as it was written is taken out before a word is touched.

Each masked stretch becomes one private-use character, a token, whose range tells its kind. Rules can see that a date
stands somewhere, and which, but cannot change it. Wherever a stretch is no fact after all, masking it costs a wording,
never the meaning.
"""

import re
from collections.abc import Iterable, Mapping

from chatwren.variation.template import Piece, Placeholder

_FIRST = 0xF0000  # Supplementary Private Use Area-A: no text that people write contains these
_ROOM = 4096  # tokens of one kind in one text
_LAST = 0xFFFFD

_MONTHS = (
    "jan(?:uary|eiro)?|feb(?:ruary|rero)?|fevereiro|mar(?:ch|zo|ço)?|apr(?:il)?|abril|may|mayo|maio|june?|junio|junho"
    "|july?|julio|julho|aug(?:ust)?|agosto|sept?(?:ember)?|sep?tiembre|setembro|oct(?:ober|ubre)?|outubro"
    "|nov(?:ember|iembre|embro)?|dec(?:ember)?|diciembre|dezembro|enero"
    "|जनवरी|फ़?रवरी|मार्च|अप्रैल|मई|जून|जुलाई|अगस्त|सितंबर|अक्टूबर|नवंबर|दिसंबर"
)
_DAYS = (
    "(?:mon|tues|wednes|thurs|fri|satur|sun)days?|mon|tues?|wed|thu(?:rs)?|fri|sat|sun|lunes|martes|miércoles|jueves"
    "|viernes|sábados?|domingos?|segunda-feira|terça-feira|quarta-feira|quinta-feira|sexta-feira"
    "|today|tomorrow|tonight|yesterday|hoy|mañana|ayer|hoje|amanhã|ontem|aaj|kal|parson"
    "|सोमवार|मंगलवार|बुधवार|गुरुवार|शुक्रवार|शनिवार|रविवार|आज|कल|परसों"
)
# No optional separator: two repetitions that match the same digits take exponential time on a long number.
_NUMBER = r"\d++(?:[.,:'/-]\d++)*+"
_MONEY = r"(?:₹|\$|€|£|¥|₦|(?i:Rs)\.?|INR|USD|EUR|R\$|US\$|MX\$|AED)"

# In this order: what holds others comes first.
_KINDS = {
    "placeholder": None,
    "code": r"```.+?```|`[^`\n]{1,500}`",
    "quote": r'(?m:^>[^\n]*)|"[^"\n]{1,500}"|“[^”\n]{1,500}”|«[^»\n]{1,500}»|„[^“”\n]{1,500}[“”]|‘[^’\n]{1,300}’(?!\w)',
    "link": r"(?:https?://|www\.)[^\s<>]*[^\s<>.,;:!?)\]।]",
    "email": r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}",
    "domain": r"(?<![\w.@-])(?:[a-z0-9][a-z0-9-]{0,62}\.){1,4}[a-z]{2,12}(?![\w@])(?:/[^\s<>]*[^\s<>.,;:!?)\]।])?",
    "mention": r"(?<!\w)@\w[\w.-]{0,60}\w",
    "bold": (
        r"(?<![\w*])\*(?=[^\s*])[^*\n]{1,500}(?<=\S)\*(?![\w*])"
        r"|(?<![\w_])_(?=[^\s_])[^_\n]{1,500}(?<=\S)_(?![\w_])"
        r"|(?<![\w~])~(?=[^\s~])[^~\n]{1,500}(?<=\S)~(?![\w~])"
    ),
    "amount": (
        rf"{_MONEY}\s?{_NUMBER}(?:/-)?(?:\s?(?:k|lakhs?|crores?)\b)?"
        rf"|{_NUMBER}\s?(?:%|٪|₹|€|£|\$|/-|(?:USD|EUR|INR|rupees|euros)\b)"
    ),
    "time": (
        r"\d{1,2}[:.h]\d{2}(?:\s?(?:(?i:[ap]\.?\s?m)(?!\w)(?:\.(?=\s?[\d,a-z]))?|hrs?\b|hs?\b|IST\b))?|\d{1,2}\s?(?:(?i:[ap]\.m(?:\.(?=\s?[\d,a-z]))?|[ap]m\b)|hrs?\b|hs?\b|h\b)"
        r"|\d{1,2}(?:[:.]\d{2})?\s(?:बजे|baje)(?!\w)"
    ),
    "date": (
        rf"\d{{1,2}}(?:st|nd|rd|th|º)?\s?(?:de\s|of\s)?(?i:{_MONTHS})(?![\w\u0900-\u0963])(?:\.(?=\s?[\d,a-z]))?(?:,?\s(?:de\s)?\d{{4}}\b)?"
        rf"|(?<![\w\u0900-\u0963])(?i:{_MONTHS})\.?\s\d{{1,4}}(?:st|nd|rd|th)?(?:,\s\d{{4}})?(?!\w)"
        rf"|\d{{1,4}}[/.-]\d{{1,2}}[/.-]\d{{1,4}}(?!\d)|\d{{1,2}}/\d{{1,2}}(?!\d)"
        rf"|(?<![\w\u0900-\u0963])(?i:{_DAYS})(?![\w\u0900-\u0963])"
    ),
    "phone": r"(?<![\w+])(?:\+\s?\d|\(\d{2,5}\)|\d)(?:[\s().-]{0,2}\d){6,16}(?!\w)",
    "reference": (
        r"(?<![\w-])#?(?=[\w/+-]{0,40}\d)(?=[\w/+-]{0,40}[A-Za-z])[\w+][\w/+-]{1,60}(?!\w)|(?<!\w)#\w[\w-]{0,60}"
    ),
    "number": rf"{_NUMBER}(?:st|nd|rd|th|º|ª)?",
    "capitals": r"(?<![\w-])[A-ZÀ-ÖØ-Þ]{2,}(?:s\b)?(?!\w)",
    "emoji": (
        r"[\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2934\u2935\u2b00-\u2bff\u3030\u303d"
        r"\U0001f000-\U0001faff][\ufe0e\ufe0f\u200d\u20e3\U0001f000-\U0001faff\u2190-\u27bf\U000e0020-\U000e007f]*"
    ),
}
_NAMES = tuple(_KINDS)
_PATTERN = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _KINDS.items() if pattern), re.DOTALL)
_TOKENS = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")

ANY = f"[{chr(_FIRST)}-{chr(_LAST)}]"


def token_class(kind: str) -> str:
    """A regular expression's class for the tokens of a kind ("": of all). Links with and without a scheme are one."""
    kinds = _NAMES if kind == "" else {"link": ("link", "domain")}.get(kind, (kind,))
    return "[" + "".join(_range(_NAMES.index(name)) for name in kinds) + "]"


def sample(kind: str) -> str:
    """A token of a kind that stands for nothing."""
    return chr(_FIRST + _NAMES.index(kind) * _ROOM)


def _range(kind: int) -> str:
    start = _FIRST + kind * _ROOM
    return f"{chr(start)}-{chr(min(start + _ROOM - 1, _LAST))}"


class TooManyTokens(Exception):
    """The text cannot be masked: more facts of one kind than any message has, or tokens of its own. Stays in here."""


_EMOJI = re.compile(token_class("emoji"))
_DATES = re.compile(token_class("date"))
_WEIGHTY = re.compile(f"{token_class('capitals')}|{token_class('bold')}")


class Masked:
    """A text with its facts taken out.

    Attributes:
        text: with one token for each masked stretch.
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        """Mask pieces of a resolved template.

        Raises:
            TooManyTokens: the text is left alone then.
        """
        self._stretches: dict[str, str] = {}
        self._fields: dict[str, str] = {}
        self._used = [0] * len(_NAMES)
        parts = []
        for piece in pieces:
            if isinstance(piece, Placeholder):
                token = self._token(0)
                self._fields[token] = piece.name
                parts.append(token)
            elif _TOKENS.search(piece):
                raise TooManyTokens  # tokens from outside would be taken for ours
            else:
                parts.append(piece)
        self.text = _PATTERN.sub(self._mask, "".join(parts))

    def _token(self, kind: int) -> str:
        number = self._used[kind]
        self._used[kind] += 1
        code = _FIRST + kind * _ROOM + number
        if number >= _ROOM or code > _LAST:
            raise TooManyTokens
        return chr(code)

    def _mask(self, match: re.Match[str]) -> str:
        token = self._token(_NAMES.index(match.lastgroup or ""))  # every alternative is a named group
        self._stretches[token] = match[0]
        return token

    def weighty(self) -> dict[str, str]:
        """What stands in capitals or in bold, by its token: to be read, not to be changed."""
        return {token: stretch for token, stretch in self._stretches.items() if _WEIGHTY.match(token)}

    def emojis(self) -> dict[str, str]:
        """The emojis, by their tokens."""
        return {token: stretch for token, stretch in self._stretches.items() if _EMOJI.match(token)}

    def dates(self) -> dict[str, str]:
        """The days and dates, by their tokens."""
        return {token: stretch for token, stretch in self._stretches.items() if _DATES.match(token)}

    def unmask(self, text: str, values: Mapping[str, str]) -> str:
        """`text` with its tokens turned back, and the placeholders filled with `values`. These are not looked into."""
        return _TOKENS.sub(lambda match: values[self._fields[match[0]]], self.stretched(text))

    def stretched(self, text: str) -> str:
        """`text` with its tokens turned back, but for those of placeholders."""
        return _TOKENS.sub(lambda match: self._stretches.get(match[0], match[0]), text)

    @property
    def names(self) -> set[str]:
        """The names of its placeholders."""
        return set(self._fields.values())


def tokens(text: str) -> list[str]:
    """The tokens that stand in a masked text, in order."""
    return _TOKENS.findall(text)
