"""Identifiers sort in the order of their making, and only ours are read."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from chatwren.domain import ids
from chatwren.domain.errors import NotFound
from chatwren.domain.ids import bulk_public_id, message_public_id, parse_bulk_id, parse_message_id, uuid7

HEX = "01a2147e28527b71a284b638909f4360"


def test_later_ones_sort_after_earlier_ones() -> None:
    made = [uuid7() for _ in range(20_000)]
    assert made == sorted(made)
    stamps = {one.int >> 64 for one in made}
    assert len(stamps) == len(made)


def test_they_do_so_when_the_clock_stands_still_or_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    times = iter([now, now, now, now - 1_000_000_000, now])
    monkeypatch.setattr(time, "time_ns", lambda: next(times))
    made = [uuid7() for _ in range(5)]
    assert len({one.int >> 64 for one in made}) == 5
    assert made == sorted(made)


def test_threads_make_different_ones() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: uuid7().int >> 64, range(4000)))
    assert len(set(made)) == 4000


def test_they_are_of_version_7_and_say_when() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1_000


def test_what_the_api_shows_is_read_back() -> None:
    row = UUID(HEX)
    for prefix in ("msg", "sched"):
        assert parse_message_id(message_public_id(prefix, row)) == row
    assert parse_message_id(HEX) == row
    assert parse_bulk_id(bulk_public_id(row)) == row


@pytest.mark.parametrize("text", ["", "msg_", HEX[1:], HEX.upper(), f"bulk_{HEX}", f"msg_{HEX}0", f"msg__{HEX}", " "])
def test_nothing_else_is_a_message(text: str) -> None:
    with pytest.raises(NotFound):
        parse_message_id(text)


@pytest.mark.parametrize("text", ["", HEX, f"msg_{HEX}", f"bulk_{HEX}0", f"bulk_{HEX[1:]}"])
def test_nothing_else_is_a_bulk(text: str) -> None:
    with pytest.raises(NotFound):
        parse_bulk_id(text)


def test_whatsapp_ids_have_the_form_of_its_web_clients() -> None:
    made = [ids.whatsapp_message_id() for _ in range(100)]
    assert len(set(made)) == 100
    assert all(len(one) == 22 and one.startswith("3EB0") and one == one.upper() for one in made)
