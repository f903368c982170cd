"""Which passwords are tried first, and that to find out takes no time."""

import time

import pytest

from chatwren.domain.errors import Invalid
from chatwren.domain.passwords import refuse_common

OWN = ("John Doe", "johndoe", "jdoe@example.com", "+1234567890")


@pytest.mark.parametrize(
    "password",
    [
        *("password", "PASSWORD", "12345678", "qwertyuiop", "iloveyou", "sunshine"),  # common
        *("Password1", "password123!", "123football", "p@ssw0rd", "Passw0rd2024!"),  # with what people add
        *("passwordpassword", "monkeymonkey1"),
        *("        ", "aaaaaaaa", "abababab", "a" * 256, "abcdefgh", "87654321", "ABCDEFGHIJ"),  # patterns
        *("johndoe1", "JohnDoe!!", "john doe", "JDOE@example.com", "jdoe2024", "1234567890", "+1 234 567 890"),
        "234567890",  # without the country code
    ],
)
def test_refused(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        refuse_common(password, own=OWN, field="newPassword")
    assert [one.field for one in refused.value.fields] == ["newPassword"]
    assert len(password) < 8 or password not in refused.value.message


@pytest.mark.parametrize(
    "password",
    [
        "securePassword123",  # the contract's own
        *("correct horse battery", "three words or more", "tr0ub4dor&3", "пароль-длинный", "मेरापासवर्ड", "8-characters"),
        "my name is johndoe",
    ],
)
def test_taken(password: str) -> None:
    refuse_common(password, own=OWN)


@pytest.mark.parametrize("unit", ["4@8({[<369&#!1/|0$5+7%2", "1", "a1", "1a!", "pass", "\u0345", "ß"])
def test_the_longest_takes_no_time(unit: str) -> None:
    password = (unit * 256)[:256]
    began = time.perf_counter()
    for _ in range(10):
        try:
            refuse_common(password, own=OWN)
        except Invalid:
            continue
    assert time.perf_counter() - began < 0.5, "0.3 ms each on an idle machine"
