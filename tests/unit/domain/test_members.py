"""Members of a field that came under names of their own."""

from typing import Any

import pytest

from chatwren.domain.errors import Invalid
from chatwren.domain.fields import Reader
from chatwren.domain.members import gathered
from chatwren.domain.text import parse_boolean


@pytest.mark.parametrize(
    ("given", "members"),
    [
        ({"fields[name]": ["Asha"]}, {"name": "Asha"}),
        ({"fields.name": ["Asha"], "fields[town]": ["Pune"]}, {"name": "Asha", "town": "Pune"}),
        ({"fields[first.name]": ["Asha"]}, {"first.name": "Asha"}),
        ({"fields[1]": ["Asha"]}, {"1": "Asha"}),
        ({"fields.a.b": ["x"], "fields[a][c]": ["y"]}, {"a": {"b": "x", "c": "y"}}),
        ({"fields[name": ["Asha"]}, {"name": "Asha"}),
        ({"fields[name]": ["Asha", "Asha"]}, {"name": "Asha"}),
        ({"fields[name]": ["Asha", "Bela"]}, {"name": ["Asha", "Bela"]}),
        ({"fields[name]": ["Asha"], "fields.name": ["Bela"]}, {"name": ["Asha", "Bela"]}),
        ({"fields[name]": ["Asha"], "fields.name": ["Asha"]}, {"name": "Asha"}),
        ({"fields[name]": [""], "fields.name": ["Asha"]}, {"name": "Asha"}),
        ({"fields[name]": ["Asha"], "fields.name": [""]}, {"name": "Asha"}),
        ({"fields[name]": [""], "fields.name": [""]}, {"name": ""}),
        ({"fields[]": ["Asha"]}, ["Asha"]),
        ({"fields.": ["Asha"]}, ["Asha"]),
        ({"fields[]": ["Asha"], "fields[a]": ["x"]}, {"": ["Asha"], "a": "x"}),
        ({"fields[a]": ["x"], "fields[a][b]": ["y"]}, {"a": {"": "x", "b": "y"}}),
        ({"fields": [""], "fields[a]": ["x"]}, {"a": "x"}),
        ({"fields": [{"a": "", "b": "y"}], "fields.a": ["x"], "fields.b": [""]}, {"a": "x", "b": "y"}),
        ({"fields{}": ['{"a": "x"}']}, '{"a": "x"}'),
        ({"fields": [{"a": "x"}], "fields.b": ["y"]}, {"a": "x", "b": "y"}),
        ({"fields" + "[a]" * 9: ["x"]}, {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": ["x"]}}}}}}}}),
        ({"fields[" + "a" * 600 + "]": ["x"]}, {"[" + "a" * 600 + "]": "x"}),
    ],
)
def test_members_are_one_object(given: dict[str, list[object]], members: Any) -> None:
    found, came_as = gathered({"message": ["hi"], **given})
    assert {name: list(one) for name, one in found.items()} == {"message": ["hi"], "fields": [members]}
    by_members = [name for name in given if name not in {"fields", "fields{}"}]
    assert came_as == ({"fields": by_members[0]} if by_members else {})


def test_a_field_that_takes_no_members_says_how_they_came() -> None:
    reader = Reader({"all[]": ["true"], "other[x]": ["ignored"]})
    assert reader.given("all")
    reader.read("all", parse_boolean)
    with pytest.raises(Invalid) as caught:
        reader.check()
    assert [one.field for one in caught.value.fields] == ["all", "all"]
    assert "all[] is no way to give all." in caught.value.message


@pytest.mark.parametrize("whole", ["true", '{"y": "z"}', {"x": "false"}, ["y"]])
def test_what_is_given_whole_and_by_members_is_given_twice(whole: object) -> None:
    reader = Reader({"all": [whole], "all.x": ["true"]})
    reader.read("all", parse_boolean)
    with pytest.raises(Invalid, match=r"^all is given more than once, with different values.$"):
        reader.check()


def test_a_name_of_a_million_members_is_no_deep_object() -> None:
    (members,) = gathered({"a" + ".b" * 500_000: ["x"]})[0]["a"]
    assert isinstance(members, dict)
    assert list(members.values()) == ["x"]
