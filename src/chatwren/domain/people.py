"""What a person gives to register: name, user name, e-mail address, password, phone."""

import re
import unicodedata

from chatwren.domain.errors import Invalid
from chatwren.domain.lookalikes import has_unseen, is_blank
from chatwren.domain.recipients import parse_phone_digits
from chatwren.domain.text import required_text

_AROUND = 100  # spaces that are trimmed
_MAX_NAME = 200
_MAX_USERNAME = 64
_MAX_EMAIL = 254
_PASSWORD_LENGTH = range(8, 257)

# Unicode categories: control, line and paragraph separators; and what can make two user names look the same.
_UNPRINTABLE = frozenset({"Cc", "Zl", "Zp"})
_INVISIBLE = _UNPRINTABLE | {"Cf", "Cn", "Co"}

_LABEL = r"[^\s@.,:;<>()\[\]\\\"]+"
_EMAIL = re.compile(rf"[^\s@,:;<>()\[\]\\\"]+@{_LABEL}(?:\.{_LABEL})+")
# The API document's own sample: an address that a web site has masked. With a space or a no-break space.
_SAMPLE_EMAIL = re.compile("\\[email[ \u00a0]protected\\]")


def parse_name(value: object, *, field: str = "name") -> str:
    """A person's or company's name: 1 to 200 characters of any script, trimmed.

    Raises:
        Invalid: missing, blank, too long, or with control characters.
    """
    return _line(value, field=field, at_most=_MAX_NAME, refused=_UNPRINTABLE)


def parse_username(value: object, *, field: str = "username") -> str:
    """The name to log in with: 1 to 64 characters of any script, trimmed. What makes it unique is `username_key`.

    An e-mail address will do. Invisible characters are refused: by them two users could look the same.

    Raises:
        Invalid: missing, blank, too long, or with control, invisible or unassigned characters.
    """
    username = _line(value, field=field, at_most=_MAX_USERNAME, refused=_INVISIBLE)
    if has_unseen(username):
        raise Invalid(f"{field} holds characters that cannot be seen.", field=field)
    if not username_key(username) or is_blank(username):
        raise Invalid(f"{field} has no visible character.", field=field)
    return username


def username_key(name: str) -> str:
    """The form by which user names are compared: without case, width and other variants of one character."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", folded).strip()


def parse_email(value: object, *, field: str = "email") -> str:
    """An e-mail address, trimmed: something, an @, a domain with a dot; at most 254 characters.

    No mail is sent to it before its owner asks for one, so looks are all that is checked.

    Raises:
        Invalid: missing, too long, or not like an address.
    """
    email = _line(value, field=field, at_most=_MAX_EMAIL, refused=_INVISIBLE)
    if not (_EMAIL.fullmatch(email) or _SAMPLE_EMAIL.fullmatch(email)):
        raise Invalid(f"{field} must be an e-mail address, such as name@example.com.", field=field)
    return email


def parse_password(value: object, *, field: str = "password") -> str:
    """A new password: any 8 to 256 characters, spaces and all. It is in no error's message.

    Raises:
        Invalid: missing, too short, too long, or with NUL or a lone surrogate.
    """
    password = required_text(value, field=field, at_most=_PASSWORD_LENGTH.stop - 1)
    if len(password) not in _PASSWORD_LENGTH:
        raise Invalid(
            f"{field} must have {_PASSWORD_LENGTH.start} to {_PASSWORD_LENGTH.stop - 1} characters.", field=field
        )
    return password


def given_username(value: object, *, field: str = "username") -> str:
    """A user name that somebody gives to log in: bounded, and otherwise as it is.

    Raises:
        Invalid: missing, too long to be one, or with NUL or a lone surrogate.
    """
    return required_text(value, field=field, at_most=_MAX_USERNAME + _AROUND)


def given_password(value: object, *, field: str = "password") -> str:
    """A password that somebody gives to log in.

    Raises:
        Invalid: missing, too long to be one, or with NUL or a lone surrogate.
    """
    return required_text(value, field=field, at_most=_PASSWORD_LENGTH.stop - 1)


def parse_phone(value: object, *, field: str = "phone") -> str:
    """A person's phone number as `+digits`, from any spelling that a recipient may have.

    Raises:
        Invalid: missing, or no international number.
    """
    return f"+{parse_phone_digits(value, field=field)}"


def _line(value: object, *, field: str, at_most: int, refused: frozenset[str]) -> str:
    text = required_text(value, field=field, at_most=at_most + _AROUND).strip()
    if not text:
        raise Invalid(f"{field} is blank.", field=field)
    if len(text) > at_most:
        raise Invalid(f"{field} is longer than {at_most} characters.", field=field)
    if any(unicodedata.category(char) in refused for char in text):
        raise Invalid(f"{field} holds characters that cannot be seen, such as a line break.", field=field)
    return text
