"""Which phone numbers there are, by the countries' number plans: asked for each message, and so in microseconds.

libphonenumber knows the plans. Its own functions take 20 to 60 µs for a number, its patterns, compiled once, 2.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberDesc

_ABROAD = "001"  # libphonenumber's region of numbers that belong to no country
_KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number", "pager", "uan",
    "voicemail",
)  # fmt: skip
_NOTHING = re.compile("(?!)")


@lru_cache(1024)  # it is asked of each message's number by who reads it, and by who warns
def is_valid(digits: str) -> bool:
    """Whether an international number (digits, without the plus) is one by the plan of its country, as it stands."""
    code = _code_length(digits)
    return code > 0 and any(one.fullmatch(digits, code) for one in _numbers(int(digits[:code])))


def is_mobile(digits: str) -> bool:
    """Whether an international number (digits) may be that of a mobile phone. In some countries they look alike."""
    code = _code_length(digits)
    return code > 0 and any(_pattern(plan.mobile).fullmatch(digits, code) for plan in _plans(int(digits[:code])))


def has_trunk_zero(digits: str) -> bool:
    """Whether a zero follows the country code of an international number (digits)."""
    code = _code_length(digits)
    return code > 0 and digits.startswith("0", code)


def without_trunk_zero(digits: str) -> str:
    """An international number (digits) without the zero that is dialled at home only; as it is where it belongs there.

    It does in Italy, Ivory Coast and Gabon.
    """
    if is_valid(digits) or not has_trunk_zero(digits):
        return digits
    code = _code_length(digits)
    dropped = digits[:code] + digits[code + 1 :]
    return dropped if is_valid(dropped) else normal(digits)


def normal(digits: str) -> str:
    """An international number (digits) as libphonenumber writes it: without what is dialled at home only."""
    number = _parsed("+" + digits)
    return _digits(number) if number else digits


def at_home(digits: str, country: str) -> str | None:
    """What digits mean that somebody writes at home: a valid number, in international form; None: nothing.

    Args:
        digits: as written, without a plus.
        country: ISO 3166 code.
    """
    plan = PhoneMetadata.metadata_for_region(country)
    if plan is None:
        return None
    if not _looks_at_home(digits, plan):
        if not digits.startswith(str(plan.country_code)):
            return None
        if is_valid(digits):
            return digits
    number = _parsed(digits, country)
    return _digits(number) if number and phonenumbers.is_valid_number(number) else None


def mobiles_at_home(digits: str) -> Iterator[str]:
    """The mobile numbers, in international form, that digits without a country code mean in one country or another."""
    for country in sorted(phonenumbers.SUPPORTED_REGIONS):
        plan = PhoneMetadata.metadata_for_region(country)
        if plan is not None:
            prefix = plan.national_prefix or ""
            written = digits[len(prefix) :] if prefix and digits.startswith(prefix) else digits
            if any(_pattern(plan.mobile).fullmatch(one) for one in {digits, written}):
                home = at_home(digits, country)
                if home is not None and home != digits and is_mobile(home):
                    yield home


@lru_cache(maxsize=1_000)  # each row of a bulk asks for that of its account
def country_of(digits: str) -> str | None:
    """ISO 3166 code of the country of an international number (digits without plus); None when unknown."""
    number = _parsed("+" + digits)
    region = phonenumbers.region_code_for_number(number) if number else None
    return None if region == _ABROAD else region


def _looks_at_home(digits: str, plan: PhoneMetadata) -> bool:
    """Whether digits look as they are written in a country, without its code: False is certain."""
    # What stands before a number at home, and what leads out of the country.
    begins = (plan.national_prefix_for_parsing, plan.international_prefix)
    return any(_pattern(one.general_desc).fullmatch(digits) for one in _plans(plan.country_code)) or any(
        one is not None and _compiled(one).match(digits) for one in begins
    )


def _code_length(digits: str) -> int:
    """How many digits the country code has. 0: there is no such country. None begins with a zero."""
    return 0 if digits.startswith("0") else next((n for n in (1, 2, 3) if _plans(int(digits[:n] or "0"))), 0)


@cache
def _plans(code: int) -> tuple[PhoneMetadata, ...]:
    """The plans that share a country code."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    found = (
        PhoneMetadata.metadata_for_nongeo_region(code)
        if region == _ABROAD
        else PhoneMetadata.metadata_for_region(region)
        for region in regions
    )
    return tuple(plan for plan in found if plan is not None)


@cache
def _numbers(code: int) -> tuple[re.Pattern[str], ...]:
    """What numbers match, without this country code; one pattern for each plan."""
    return tuple(_all_kinds(plan) for plan in _plans(code))


def _all_kinds(plan: PhoneMetadata) -> re.Pattern[str]:
    kinds = (getattr(plan, kind) for kind in _KINDS)
    patterns = [kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern]
    general = plan.general_desc.national_number_pattern if plan.general_desc else ""
    return re.compile(f"(?=(?:{general})$)(?:{'|'.join(f'(?:{one})' for one in patterns)})") if patterns else _NOTHING


def _pattern(kind: PhoneNumberDesc | None) -> re.Pattern[str]:
    return _compiled(kind.national_number_pattern) if kind and kind.national_number_pattern else _NOTHING


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _parsed(number: str, country: str | None = None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException:
        return None


def _digits(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
