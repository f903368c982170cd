"""The bound that holds for every field, whatever its own reader does."""

from typing import Any

import pytest

from chatwren.domain.errors import Invalid
from chatwren.domain.fields import MAX_TEXT, bounded


def _nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "x" * MAX_TEXT,
        2**256 - 1,
        -(2**255),
        1e308,
        [0] * 1_000,
        {str(number): number for number in range(500)},
        _nested(8),
        {"a": ["x" * MAX_TEXT] * 3},
    ],
)
def test_what_is_within_it_stays_as_it_is(value: object) -> None:
    assert bounded(value, field="f") is value


@pytest.mark.parametrize(
    "value",
    [
        "x" * (MAX_TEXT + 1),
        2**256,
        -(10**4000),
        [0] * 1_001,
        {str(number): number for number in range(501)},
        [[0] * 400] * 3,
        _nested(9),
        _nested(900),
        ["x" * (MAX_TEXT + 1)],
        {"a": {"x" * (MAX_TEXT + 1): 1}},
        [[[10**4000]]],
    ],
)
def test_what_is_not_is_refused_by_the_fields_name(value: object) -> None:
    with pytest.raises(Invalid, match=r"^f ") as refused:
        bounded(value, field="f")
    assert [one.field for one in refused.value.fields] == ["f"]
    assert len(refused.value.message) < 100
