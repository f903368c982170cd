"""Valid numbers of thirty countries as people write them: each goes to itself, or is refused with a suggestion."""

import random
from typing import Any

import phonenumbers
import pytest
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from chatwren.domain import number_plans
from chatwren.domain.errors import Invalid
from chatwren.domain.recipients import Reading, parse_recipient

COUNTRIES = (
    "IN", "BR", "US", "GB", "DE", "FR", "IT", "ES", "PT", "MX", "AR", "CO", "PE", "CL", "ID", "PK", "BD", "NG", "KE",
    "ZA", "EG", "SA", "AE", "TR", "RU", "UA", "NL", "PH", "CI", "GA", "AT", "AU", "SG", "JP", "CN",
)  # fmt: skip
KINDS = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE)


def examples(country: str) -> list[PhoneNumber]:
    """Those of libphonenumber, and a few of the same kind whose last digits are drawn."""
    drawn = random.Random(country)  # noqa: S311 - the same each time
    found = []
    for kind in KINDS:
        example = phonenumbers.example_number_for_type(country, kind)
        assert example is not None
        found.append(example)
        national = phonenumbers.national_significant_number(example)
        for _ in range(20):
            digits = national[:4] + "".join(drawn.choice("0123456789") for _ in national[4:])
            number = phonenumbers.parse(f"+{example.country_code}{digits}")
            if phonenumbers.is_valid_number_for_region(number, country):
                found.append(number)
    return found


def spellings(number: PhoneNumber) -> list[tuple[str, bool]]:
    """Ten usual ways to write a number, and whether its country's code is in it beyond doubt."""
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    significant = phonenumbers.national_significant_number(number)
    plan = PhoneMetadata.metadata_for_region(phonenumbers.region_code_for_number(number) or "")
    code, zero = f"+{number.country_code}", "0" if plan and plan.national_prefix == "0" else ""
    return [
        (e164, True),
        (f"00{e164[1:]}", True),
        (phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL), True),
        (phonenumbers.format_number(number, PhoneNumberFormat.RFC3966), True),
        (f"{code} ({zero}){significant}", True),
        (f"https://wa.me/{e164[1:]}", True),
        (f"{e164}.0", True),
        (f"{e164[1:]}@c.us", True),
        (e164[1:], False),
        (national, False),
        (significant, False),
        (f"{significant}.0", False),
    ]


def read(written: str, **how: Any) -> tuple[str | None, list[str]]:
    """Where a number goes; None: it is refused, with these suggestions."""
    try:
        return parse_recipient(written, **how).display, []
    except Invalid as refused:
        extra: dict[str, Any] = refused.extra
        return None, extra.get("suggestions") or [extra.get("suggestion")]


@pytest.mark.parametrize("country", COUNTRIES)
def test_each_goes_to_itself_or_is_refused_with_a_suggestion(country: str) -> None:
    for number in examples(country):
        itself = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        for written, is_sure in spellings(number):
            goes, suggestions = read(written, country=lambda: country)
            assert goes == itself or (goes is None and not is_sure and itself in suggestions), written


@pytest.mark.parametrize("country", COUNTRIES)
def test_a_list_of_national_numbers_goes_to_themselves(country: str) -> None:
    reading: Reading = "national"
    for number in examples(country):
        itself = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        for written in (
            phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL),
            phonenumbers.national_significant_number(number),
        ):
            assert parse_recipient(written, country=lambda: country, reading=reading).display == itself, written


@pytest.mark.parametrize("abroad", COUNTRIES)
@pytest.mark.parametrize("country", ["IN", "BR", "US"])
def test_digits_with_a_country_code_go_to_themselves_from_elsewhere_or_are_refused(country: str, abroad: str) -> None:
    for number in examples(abroad):
        itself = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        goes, suggestions = read(itself[1:], country=lambda: country)
        assert goes == itself or (goes is None and len(suggestions) > 1 and itself in suggestions)


@pytest.mark.parametrize("country", COUNTRIES)
def test_where_no_country_is_known_a_mobile_number_is_never_another_s(country: str) -> None:
    for number in examples(country):
        if phonenumbers.number_type(number) != PhoneNumberType.MOBILE:
            continue
        itself = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        for written in (phonenumbers.national_significant_number(number), itself[1:]):
            assert read(written)[0] in {itself, None}


def test_the_plans_are_libphonenumber_s() -> None:
    drawn = random.Random(1)  # noqa: S311 - as above
    numbers = [number for country in COUNTRIES for number in examples(country)]
    for number in numbers:
        digits = phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]
        assert number_plans.is_valid(digits)
        broken = digits[:5] + "".join(drawn.choice("0123456789") for _ in digits[5 : drawn.randrange(5, 15)])
        if not number_plans.has_trunk_zero(broken):
            as_it_is = number_plans.normal(broken) == broken and phonenumbers.is_valid_number(
                phonenumbers.parse("+" + broken)
            )
            assert number_plans.is_valid(broken) == as_it_is, broken


def test_what_looks_like_nothing_at_home_is_nothing() -> None:
    """A quick look comes first, and misses none."""
    drawn = random.Random(2)  # noqa: S311 - as above
    numbers = [number for country in COUNTRIES for number in examples(country)]
    for _ in range(2_000):
        number, country = drawn.choice(numbers), drawn.choice(COUNTRIES)
        plan = PhoneMetadata.metadata_for_region(country)
        begin = drawn.choice(["", plan.national_prefix or "", "00", "011", str(plan.country_code)] if plan else [""])
        written = begin + phonenumbers.national_significant_number(number)
        try:
            parsed = phonenumbers.parse(written, country)
        except phonenumbers.NumberParseException:
            continue
        meant = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)[1:]
        assert number_plans.at_home(written, country) == (meant if phonenumbers.is_valid_number(parsed) else None)
