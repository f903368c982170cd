"""Recipients: phone numbers and WhatsApp addresses in the many spellings in which people write them."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import phonenumbers

from chatwren.domain.errors import Invalid

# The number in the API document's samples. It is in no number plan, but its digits are those of an Indian land line.
_SAMPLE = "1234567890"
_MAX_WRITTEN = 64
_DIGITS = re.compile(r"[0-9]+")
_SEPARATORS = re.compile(r"[\s().\[\]/-]+")
_DOMESTIC_ZERO = re.compile(r"\(\s*0\s*\)")
_INTERNATIONAL = re.compile(r"[1-9][0-9]{6,14}")
# A JID may name one device of its user (":12"); messages go to the user.
_USER_JID = re.compile(r"([0-9]+)(?::[0-9]+)?@(c\.us|s\.whatsapp\.net|lid)")
_GROUP_JID = re.compile(r"[0-9]{1,20}(?:-[0-9]{1,20})?@g\.us")
_MAX_LID_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a message goes.

    Attributes:
        kind: a phone number, a WhatsApp id that hides the number, or a group.
        value: digits of E.164 without the plus; for lid and group the full JID.
    """

    kind: Literal["phone", "lid", "group"]
    value: str

    @property
    def display(self) -> str:
        """How answers and pages write it: `+digits`, or the id."""
        return f"+{self.value}" if self.kind == "phone" else self.value


def _unknown() -> str | None:
    return None


def parse_recipient(
    value: object, *, country: Callable[[], str | None] = _unknown, field: str = "phoneId"
) -> Recipient:
    """The recipient that a client means.

    Accepted are international numbers with `+`, `00` or neither, with spaces, dashes, dots, slashes and brackets, in
    any script's digits, as text or JSON number, and the addresses `…@c.us`, `…@s.whatsapp.net`, `…@lid`, `…@g.us`.
    A number is not looked up in number plans, which lag behind: whether it is on WhatsApp, WhatsApp says.

    Args:
        country: tells the ISO 3166 code of the account's own number. Digits without `+` or `00` that are no valid
            international number, but one in that country, are refused: they would go to a stranger abroad.

    Raises:
        Invalid: none of these; where a national number was meant, with `suggestion` in `extra`.
    """
    written = _written(value, field)
    if "@" in written:
        return _parse_jid(written, field)
    return Recipient("phone", parse_phone_digits(written, country=country, field=field))


def parse_phone_digits(value: object, *, country: Callable[[], str | None] = _unknown, field: str) -> str:
    """The digits of an international number, without the plus. For arguments and errors see `parse_recipient`."""
    written = _written(value, field)
    number = _bare(written)
    if number.startswith("00"):
        number = "+" + number[2:]
    digits = number.removeprefix("+")
    if not _DIGITS.fullmatch(digits):
        raise Invalid(
            f"{field} must be a phone number with country code, such as +919876543210.",
            field=field,
        )
    if number.startswith("+"):
        if _DOMESTIC_ZERO.search(written):
            digits = _without_domestic_zero(digits)
    elif not (digits == _SAMPLE and written.startswith(" ")):
        # An urlencoded form turns a plus that the client did not encode into a space. Digits without a plus are taken
        # as international anyway; only of the sample the next rule would say that an Indian land line was meant.
        _refuse_domestic(digits, country(), field)
    if not _INTERNATIONAL.fullmatch(digits):
        raise Invalid(
            f"{field} must have 7 to 15 digits and start with its country code, such as +919876543210.", field=field
        )
    return digits


@lru_cache(maxsize=1_000)  # each row of a bulk asks for that of its account
def country_of(phone_digits: str) -> str | None:
    """ISO 3166 code of the country of an international number (digits without plus); None when unknown."""
    number = _parsed("+" + phone_digits)
    region = phonenumbers.region_code_for_number(number) if number else None
    return None if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY else region


def _written(value: object, field: str) -> str:
    """What the client sent, as a text of reasonable length."""
    if value is None or (isinstance(value, str) and len(value) <= _MAX_WRITTEN and not value.strip()):
        raise Invalid(f"{field} is required: a phone number with country code, or a group's id.", field=field)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # some languages write every JSON number with a fraction
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_MAX_WRITTEN:
        value = str(value)
    if not isinstance(value, str) or len(value) > _MAX_WRITTEN:
        raise Invalid(f"{field} must be a phone number with country code, such as +919876543210.", field=field)
    return value


def _bare(written: str) -> str:
    """Without what people put between digits. Invisible marks come along when a number is copied from a phone book."""
    if not written.isascii():
        written = "".join(
            str(digit) if (digit := unicodedata.decimal(char, None)) is not None else _ascii_of(char)
            for char in unicodedata.normalize("NFKC", written)
        )
    return _SEPARATORS.sub("", written)


def _ascii_of(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cf":
        return ""
    return "-" if category == "Pd" or char == "\N{MINUS SIGN}" else char


def _parsed(number: str, country: str | None = None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException:
        return None


def _e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _without_domestic_zero(digits: str) -> str:
    """+44 (0)20 … without the zero that is dialled at home only. In Italy it belongs to the number, and stays."""
    number = _parsed("+" + digits)
    return _e164(number).removeprefix("+") if number else digits


def _refuse_domestic(digits: str, country: str | None, field: str) -> None:
    abroad = _parsed("+" + digits)
    if country is None or (abroad and phonenumbers.is_valid_number(abroad)):
        return
    at_home = _parsed(digits, country)
    if at_home and phonenumbers.is_valid_number(at_home):
        suggestion = _e164(at_home)
        raise Invalid(
            f"{field} {digits} has no country code. Did you mean {suggestion}?",
            field=field,
            extra={"suggestion": suggestion},
        )


def _parse_jid(written: str, field: str) -> Recipient:
    jid = written.strip().lower()
    if user := _USER_JID.fullmatch(jid):
        digits, server = user.groups()
        if server == "lid" and len(digits) <= _MAX_LID_DIGITS:
            return Recipient("lid", f"{digits}@lid")
        if server != "lid" and _INTERNATIONAL.fullmatch(digits):
            return Recipient("phone", digits)
    elif _GROUP_JID.fullmatch(jid):
        return Recipient("group", jid)
    raise Invalid(
        f"{field} must be a phone number, or an id ending in @c.us, @s.whatsapp.net, @lid or @g.us.", field=field
    )
