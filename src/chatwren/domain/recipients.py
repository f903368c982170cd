"""Recipients: phone numbers and WhatsApp addresses in the many spellings in which people write them.

This is the one reader of numbers, whatever route they come by. None may become another's: what can be read in two ways
is refused, with both.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Literal
from urllib.parse import unquote

from chatwren.domain import number_plans
from chatwren.domain.errors import Invalid

Reading = Literal["national", "international"]
"""How a list writes what has neither `+` nor `00`: as one dials at home, or with the country code."""

# The number in the API document's samples. It is in no number plan, but its digits are those of an Indian land line.
_SAMPLE = "1234567890"
_MAX_WRITTEN = 64
_MAX_LINK = 4_096  # of which most may be a text to be sent
_MOST_SUGGESTED = 5
_DIGITS = re.compile(r"[0-9]+")
_SEPARATORS = re.compile(r"[\s().\[\]/-]+")
_PLAIN = re.compile(r"\+([1-9][0-9]{6,14})")
_INTERNATIONAL = re.compile(r"[1-9][0-9]{6,14}")
# A last group of one or two digits may be no group, but a fraction, or the last digits of a second number. Of more
# digits only zeros after all of a number are none.
_FRACTION = re.compile(r"(?<=[0-9])\s*[./]\s*([0-9]{1,2})$|(?<=[0-9]{7})\.(0{3,})$")
_PAIRS = re.compile(r".*[./].*[^0-9][0-9]{2}[./][0-9]{2}", re.DOTALL)  # +33 6.12.34.56.78
_ROUNDED = re.compile(r"[0-9][.,]?[0-9]*[eE]\+?[0-9]+")
_SCHEME = re.compile(r"(?:tel|whatsapp|p):(?://)?", re.IGNORECASE)  # "p:" in lists of leads from advertisements
# By which spreadsheets say that a cell is text: '91…, "91…", ="91…".
_AS_TEXT = re.compile(r"'([^'\"]+)'?|=?\"([^'\"]+)\"")
_LINK = re.compile(
    r"(?:https?://)?(?:www\.)?wa\.me/(?P<path>[^/?#]*)(?:/?[?#].*|/)?"
    r"|(?:(?:https?://)?(?:api|web|www)\.whatsapp\.com/send/?|whatsapp://send/?)\?(?:[^#]*&)?phone=(?P<query>[^&#]*).*",
    re.IGNORECASE | re.DOTALL,
)
_LINK_BEGIN = re.compile(
    r"\s*(?:https?://|whatsapp://|(?:www\.)?wa\.me/|(?:api|web|www)\.whatsapp\.com/)", re.IGNORECASE
)
# A JID may name one device of its user (":12"); messages go to the user.
_PHONE_JID = re.compile(r"([^@]*?)(?::[0-9]+)?@(?:c\.us|s\.whatsapp\.net)", re.IGNORECASE)
_LID = re.compile(r"([0-9]{1,20})(?::[0-9]+)?@lid")
_GROUP_JID = re.compile(r"[0-9]{1,20}(?:-[0-9]{1,20})?@g\.us")
_SPELLINGS = (
    ("1", re.compile(r"(52)1?([2-9][0-9]{9})")),
    ("9", re.compile(r"(54)9?([1-3][0-9]{9})")),
    ("9", re.compile(r"(55[1-9][0-9])9?([6-9][0-9]{7})")),
)
_MEXICAN_MOBILE = "521"  # the plan has dropped the 1, WhatsApp's ids have not


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
    value: object,
    *,
    country: Callable[[], str | None] = _unknown,
    field: str = "phoneId",
    reading: Reading | None = None,
) -> Recipient:
    """The recipient that a client means: what `parse_phone_digits` reads, or an address `…@lid`, `…@g.us`.

    Raises:
        Invalid: none of these, or two numbers.
    """
    if _is_missing(value):
        raise Invalid(f"{field} is required: a phone number with country code, or a group's id.", field=field)
    if isinstance(value, str) and "@" in value and len(value) <= _MAX_WRITTEN:
        jid = value.strip().lower()
        if lid := _LID.fullmatch(jid):
            return Recipient("lid", f"{lid[1]}@lid")
        if _GROUP_JID.fullmatch(jid):
            return Recipient("group", jid)
        if not _LINK_BEGIN.match(jid) and not _PHONE_JID.fullmatch(jid):
            raise Invalid(
                f"{field} must be a phone number, or an id ending in @c.us, @s.whatsapp.net, @lid or @g.us.",
                field=field,
            )
    return Recipient("phone", parse_phone_digits(value, country=country, field=field, reading=reading))


def parse_phone_digits(
    value: object, *, country: Callable[[], str | None] = _unknown, field: str, reading: Reading | None = None
) -> str:
    """The digits of an international number, without the plus.

    Accepted are international numbers with `+`, `00` or neither, with spaces, dashes, dots, slashes and brackets, in
    any script's digits, as text or JSON number, after `tel:`, `whatsapp:` or `p:`, in quotation marks as spreadsheets
    put them, as a link (`https://wa.me/…`), and as an address (`…@c.us`, `…@s.whatsapp.net`). A zero that is dialled at
    home only is left out, and so is `.0` at the end. Whether a number with `+` is in a number plan does not count, as
    plans lag behind: whether it is on WhatsApp, WhatsApp says.

    Args:
        country: tells the ISO 3166 code of the country in which digits without `+` or `00` may be meant; where it is
            not known, they may be meant in any.
        reading: which of two readings is meant.

    Raises:
        Invalid: no such number; only a national one, with `suggestion` in `extra`; or one of two
            (`ambiguous_number`), with both as `suggestions`.
    """
    if isinstance(value, str) and (plain := _PLAIN.fullmatch(value)) and number_plans.is_valid(plain[1]):
        return plain[1]  # most are
    written, names_country = _unwrapped(_written(value, field))
    number = _bare(written, field)
    digits = number.removeprefix("+") if number.startswith("+") else number.removeprefix("00")
    if not _DIGITS.fullmatch(digits):
        raise _no_number(field, written)
    if len(digits) < len(number):
        digits = number_plans.without_trunk_zero(digits)
        if number.startswith("00") and not number_plans.is_valid(digits):  # elsewhere other digits lead abroad
            _refuse_national(number, country(), field)
    elif names_country:
        digits = number_plans.without_trunk_zero(digits)
        if not number_plans.is_valid(digits):
            _refuse_national(number, country(), field)
    else:
        digits = _read_bare(digits, country(), field, reading)
    if not _INTERNATIONAL.fullmatch(digits):
        raise Invalid(
            f"{field} must have 7 to 15 digits and start with its country code, such as +919876543210.", field=field
        )
    return digits


def doubt(recipient: Recipient) -> str | None:
    """What a person should know of a number that is in no plan; None: nothing, or the recipient is no number."""
    number = recipient.value
    if recipient.kind != "phone" or number_plans.is_valid(number) or number == _SAMPLE:
        return None
    if number.startswith(_MEXICAN_MOBILE) and number_plans.is_valid(number.replace("1", "", 1)):
        return None
    usual = number_plans.normal(number)
    advice = f"Did you mean +{usual}?" if number_plans.is_valid(usual) else "Check it."
    return f"{recipient.display} is in no country's number plan. {advice}"


def spellings(number: str) -> frozenset[str]:
    """The numbers (digits) by which WhatsApp reaches the one who has this number: mostly that alone.

    Mexico has dropped the 1 of its mobile numbers, Argentina writes a 9 before them for abroad, and Brazil has put a 9
    before those that began with 6 to 9; WhatsApp finds accounts by either.
    """
    for extra, pattern in _SPELLINGS:
        if match := pattern.fullmatch(number):
            return frozenset({match[1] + match[2], match[1] + extra + match[2]})
    return frozenset({number})


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= _MAX_WRITTEN and not value.strip())


def _written(value: object, field: str) -> str:
    """What the client sent, as a text of reasonable length."""
    if _is_missing(value):
        raise Invalid(f"{field} is required: a phone number with country code.", field=field)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # some languages write every JSON number with a fraction
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**_MAX_WRITTEN:
        value = str(value)
    if isinstance(value, str) and len(value) <= (_MAX_LINK if _LINK_BEGIN.match(value) else _MAX_WRITTEN):
        return value
    raise _no_number(field)


def _unwrapped(written: str) -> tuple[str, bool]:
    """The number in a link, an address or after a scheme, and whether such a place takes a country code."""
    written = written.strip()
    if quoted := _AS_TEXT.fullmatch(written):
        written = (quoted[1] or quoted[2]).strip()
    if link := _LINK.fullmatch(written):
        return unquote(link["path"] if link["path"] is not None else link["query"]), True
    if jid := _PHONE_JID.fullmatch(written):
        return jid[1], True
    return unquote(written[scheme.end() :]) if (scheme := _SCHEME.match(written)) else written, False


def _bare(written: str, field: str) -> str:
    """Without what people put between digits. Invisible marks come along when a number is copied from a phone book."""
    if not written.isascii():
        written = "".join(
            str(digit) if (digit := unicodedata.decimal(char, None)) is not None else _ascii_of(char)
            for char in unicodedata.normalize("NFKC", written)
        )
    written = written.strip()
    if fraction := _FRACTION.search(written):
        if fraction[1] == "0" and written.count(".") + written.count("/") == 1 and "." in written:
            written = written[: fraction.start()]  # a column of numbers, as many programs save it
        elif not _PAIRS.fullmatch(written):
            raise Invalid(
                f"{field} {written} ends like a fraction or a second number. Write one number, such as +919876543210.",
                field=field,
            )
    return _SEPARATORS.sub("", written)


def _ascii_of(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cf":
        return ""
    return "-" if category == "Pd" or char == "\N{MINUS SIGN}" else char


def _no_number(field: str, written: str = "") -> Invalid:
    if _ROUNDED.fullmatch(written):
        return Invalid(
            f"{field} {written} was rounded, as spreadsheets show long numbers: save that column as text.", field=field
        )
    return Invalid(f"{field} must be a phone number with country code, such as +919876543210.", field=field)


def _read_bare(digits: str, country: str | None, field: str, reading: Reading | None) -> str:
    """The number that digits without `+` or `00` mean. See `parse_phone_digits`."""
    abroad = number_plans.without_trunk_zero(digits)
    is_known = number_plans.is_valid(abroad)
    if country is None:
        return _read_anywhere(digits, abroad if is_known else None, field)
    home = number_plans.at_home(digits, country)
    if home is None or home == abroad:
        if reading == "national" and not is_known:
            raise Invalid(f"{field} {digits} is no number in {country}, nor abroad.", field=field)
        return abroad
    if reading == "national":
        return home
    if not is_known:
        raise _national(digits, home, field)
    # 49 170 1234567 of a German account could be a land line of which the zero was left out, where none is in writing.
    in_country = number_plans.country_of(abroad) == country
    if reading == "international" or (
        in_country and number_plans.is_mobile(abroad) and not number_plans.is_mobile(home)
    ):
        return abroad
    raise _ambiguous(digits, (home, abroad), field)


def _read_anywhere(digits: str, abroad: str | None, field: str) -> str:
    """The number that digits mean when it is not known where they were written."""
    if digits == _SAMPLE:
        return digits
    homes = (
        tuple(islice(number_plans.mobiles_at_home(digits), _MOST_SUGGESTED + 1))
        if _INTERNATIONAL.fullmatch(digits)
        else ()
    )
    if abroad is not None and not homes:
        return abroad
    if abroad is not None:
        raise _ambiguous(digits, (abroad, *homes), field)
    raise Invalid(
        f"{field} {digits} has no country code that is known. Write it with + and the code, such as +919876543210.",
        field=field,
        extra={"suggestions": [f"+{one}" for one in homes]} if 0 < len(homes) <= _MOST_SUGGESTED else None,
    )


def _refuse_national(digits: str, country: str | None, field: str) -> None:
    """Refuse what is a number in that country, when it is none as it stands."""
    home = number_plans.at_home(digits, country) if country is not None else None
    if home is not None:
        raise _national(digits, home, field)


def _national(digits: str, home: str, field: str) -> Invalid:
    suggestion = f"+{home}"
    return Invalid(
        f"{field} {digits} has no country code. Did you mean {suggestion}?",
        field=field,
        extra={"suggestion": suggestion},
    )


def _ambiguous(digits: str, numbers: tuple[str, ...], field: str) -> Invalid:
    suggestions = [f"+{one}" for one in numbers]
    return Invalid(
        f"{field} {digits} can be {' or '.join(suggestions)}. Write the one that you mean, with its +.",
        field=field,
        code="ambiguous_number",
        extra={"suggestions": suggestions},
    )
