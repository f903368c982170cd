"""Text and switches as clients send them: what counts as absent, and how long a message may be."""

import re
from typing import Protocol, TypeVar

from chatwren.domain.errors import Invalid

MAX_MESSAGE_BYTES = 65_536
"""The longest message accepted, in bytes of UTF-8. Alternatives (`{Hi|Hello}`) make it longer than what goes."""

MAX_SHORT = 200
"""Characters of a name, a seed or what is searched for."""

MAX_WIRE_LENGTH = 4_096
"""The longest text that goes to WhatsApp, as `wire_length` counts."""

T_co = TypeVar("T_co", covariant=True)

_ABSENT = frozenset({"", "null", "undefined"})
_SWITCHES = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
_MAX_SWITCH = 16
_NEWLINE = re.compile(r"\r\n?")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Neither space nor what shows as nothing: marks of format and of variation, fillers, and Braille's empty cell.
_VISIBLE = re.compile(
    "[^\\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)


class Parse(Protocol[T_co]):
    """What makes a value of a field: the parse functions."""

    def __call__(self, value: object, /, *, field: str) -> T_co:
        """The value, or `Invalid`."""


def absent(value: object) -> bool:
    """Whether an optional field was left out: None, or what a form sends for it ("", "null", "undefined")."""
    return value is None or (isinstance(value, str) and value in _ABSENT)


def required_text(value: object, *, field: str, at_most: int) -> str:
    """`value` as a text that UTF-8 and PostgreSQL can hold, neither empty nor trimmed.

    Args:
        at_most: characters. Known before anything is done with the text, since much that is done is not linear.

    Raises:
        Invalid: it is missing, no text, too long, or holds NUL or half of a surrogate pair.
    """
    if value is None or value == "":
        raise Invalid(f"{field} is required.", field=field)
    if not isinstance(value, str):
        raise Invalid(f"{field} must be a text (in JSON: in quotation marks).", field=field)
    if len(value) > at_most:
        raise Invalid(f"{field} is longer than {at_most:,} characters.", field=field)
    if "\0" in value:
        raise Invalid(f"{field} holds a NUL character, which no text can carry.", field=field)
    if not value.isascii() and _SURROGATE.search(value):
        raise Invalid(f"{field} holds half of a surrogate pair, which is no character.", field=field)
    return value


def parse_short(value: object, *, field: str) -> str | None:
    """A text of at most 200 characters; None when absent."""
    if absent(value):
        return None
    return required_text(value, field=field, at_most=MAX_SHORT)


def parse_message(value: object, *, field: str = "message", may_be_empty: bool = False) -> str:
    r"""The text of a message as the client wants it, before any variation.

    Kept as it is, but for line ends: a browser sends those of a form's text area as CR LF, WhatsApp knows LF.
    The limit of what goes to WhatsApp is not checked here, since variation may shorten it: see `check_wire_length`.

    Args:
        value: what the client sent. Strictly a text: a number would lose its leading zeros before it got here.
        may_be_empty: there is a media file, so the text is an optional caption; absent is then "".

    Raises:
        Invalid: missing, blank, not a text, over 65,536 bytes of UTF-8, or holding NUL or a lone surrogate.
    """
    if may_be_empty and absent(value):
        return ""
    text = required_text(value, field=field, at_most=MAX_MESSAGE_BYTES)
    # A character takes 4 bytes at most: most texts need not be encoded to be measured.
    if len(text) * 4 > MAX_MESSAGE_BYTES and len(text.encode()) > MAX_MESSAGE_BYTES:
        raise Invalid(f"{field} is longer than {MAX_MESSAGE_BYTES:,} bytes.", field=field)
    if is_blank(text):
        if may_be_empty:
            return ""
        raise Invalid(f"{field} is blank.", field=field)
    return _NEWLINE.sub("\n", text) if "\r" in text else text


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen."""
    return _VISIBLE.search(text) is None


def wire_length(text: str) -> int:
    """The length of a text in UTF-16 code units: what JavaScript's `length` and a text area's `maxlength` count.

    A front end can thus check the same limit, and since no other usual way of counting characters gives more, a text
    within it is within it by all of them.
    """
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def check_wire_length(text: str, *, field: str = "message") -> None:
    """Refuse a final text, after variation, that is too long to go to WhatsApp.

    Raises:
        Invalid: over 4,096 characters, as `wire_length` counts them.
    """
    length = wire_length(text)
    if length > MAX_WIRE_LENGTH:
        raise too_long(length, field=field)


def too_long(length: int, *, field: str = "message") -> Invalid:
    """The error of a final text of so many characters, which is more than go to WhatsApp."""
    return Invalid(f"{field} has {length:,} characters; WhatsApp takes {MAX_WIRE_LENGTH:,} at most.", field=field)


def parse_boolean(value: object, *, field: str) -> bool:
    """A switch in any spelling of JSON, forms and check boxes; absent is False.

    Raises:
        Invalid: anything but true, false, "true", "false", "on", "off", 1, 0, "1", "0" or absent.
    """
    if absent(value):
        return False
    if isinstance(value, int) and value in {0, 1}:  # of which True and False are two
        return bool(value)
    if isinstance(value, str) and len(value) <= _MAX_SWITCH and (spelling := value.strip().lower()) in _SWITCHES:
        return _SWITCHES[spelling]
    raise Invalid(f"{field} must be true or false.", field=field)
