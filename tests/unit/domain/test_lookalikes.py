"""Names that look the same, and names that look like nothing."""

import pytest

from chatwren.domain.errors import Invalid
from chatwren.domain.lookalikes import skeleton
from chatwren.domain.people import parse_username


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("alice", "\u0430lic\u0435"),  # Cyrillic
        ("alice", "Alice"),
        ("AlaskaJazz", "\u0391laskaJazz"),  # Greek
        ("paypal", "paypaI"),
        ("paypal", "paypa1"),
        ("johndoe", "johnd0e"),
        ("barn", "bam"),
        ("nick", "\u0578ick"),  # Armenian
        ("scope", "\u0455\u0441\u043e\u0440\u0435"),
        ("a b", "a  b"),
        ("e\u0301lan", "\u00e9lan"),
        ("google", "g\uff4fogle"),
    ],
)
def test_they_look_the_same(name: str, other: str) -> None:
    assert skeleton(name) == skeleton(other)


@pytest.mark.parametrize(
    ("name", "other"), [("alice", "alicia"), ("paypal", "paypai"), ("ali", "all"), ("bob", "bo"), ("日本", "日木")]
)
def test_they_do_not(name: str, other: str) -> None:
    assert skeleton(name) != skeleton(other)


def test_the_table_has_no_circle() -> None:
    for char in map(chr, range(0x20000)):
        once = skeleton(char)
        assert skeleton(once) == once, f"{char!r} {once!r}"


@pytest.mark.parametrize(
    "name",
    [
        *("\u3164", "\u115f\u1160", "\uffa0", "\u2800", "\U0001d159"),  # fillers and empty signs
        *("\u0301", "\u0301\u0323", "\ufe0f", "\u034f", "\U000e0041", "\u00a0", "\u2003"),
        *("al\u3164ice", "alice\u034f", "ali\u00adce", "alice\ufe0f", "a\u180bb", "\u200balice"),
    ],
)
def test_what_cannot_be_seen_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_username(name)
    assert [one.field for one in refused.value.fields] == ["username"]


@pytest.mark.parametrize("name", ["a", "7", "☃", "जॉन", "Ünal", "john.doe@example.com", "ＪＯＨＮ", "O'Neil & co"])
def test_what_can_be_seen_is_a_name(name: str) -> None:
    assert parse_username(name) == name
