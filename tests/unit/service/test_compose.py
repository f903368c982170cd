"""A message as somebody asks for it: whatever it is read from, it is the same message."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.unit.domain.test_health import Account

from chatwren.domain.clock import to_wire
from chatwren.domain.errors import Invalid
from chatwren.domain.fields import Reader
from chatwren.domain.recipients import Recipient
from chatwren.domain.times import ParsedTime
from chatwren.domain.users import User
from chatwren.domain.whereabouts import Whereabouts
from chatwren.service.compose import NewMessage, compose, due_at
from chatwren.variation import Modifications

NOW = datetime(2027, 5, 16, 10, tzinfo=UTC)
HERE = Whereabouts(User(UUID(int=1), "alice", "Alice", "", "", "", None), Account(phone="919876543210"), None)
HELLO = {"phoneId": "+49 1520 0001", "message": "hello"}


def read(members: dict[str, Any], **more: Any) -> NewMessage:
    return compose(Reader.of(members), HERE, **more)


def wrong(members: dict[str, Any], **more: Any) -> list[str]:
    """The fields at fault."""
    with pytest.raises(Invalid) as refused:
        read(members, **more)
    return [one.field for one in refused.value.fields]


def test_json_and_what_a_form_or_a_csv_sends_for_it_are_the_same_message() -> None:
    new = {**HELLO, "lane": None, "aiModifications": {"useSynonyms": True, "seed": "7"}, "fields": {"name": "Bob"}}
    form = {
        **HELLO,
        "phoneId": "0049-1520-0001",
        "scheduledTime": "",
        "aiModifications": '{"useSynonyms": "on", "seed": "7"}',
        "fields": '{"name": "Bob"}',
    }
    message = NewMessage(
        "msg", Recipient("phone", "4915200001"), "hello", None, Modifications(use_synonyms=True), "7", {"name": "Bob"}
    )
    assert read(new) == read(form) == message


def test_a_local_time_is_one_where_the_writer_is() -> None:
    new = read({**HELLO, "scheduledTime": "2027-05-16T15:30", "expiresAt": "2027-05-16T12:00Z"})
    assert (new.prefix, new.due and new.due.at) == ("sched", NOW)
    assert new.due is not None
    assert new.due.assumed_zone == "Asia/Kolkata"
    assert new.due.warning is not None
    assert new.expires == ParsedTime(NOW + timedelta(hours=2), None)


def test_all_that_is_wrong_is_said_at_once() -> None:
    members = {
        "phoneId": "1",
        "message": "",
        "scheduledTime": to_wire(NOW - timedelta(hours=1)),
        "aiModifications": "x",
        "fields": "x",
        "lane": "x",
        "expiresAt": "x",
    }
    named = ["phoneId", "message", "scheduledTime", "aiModifications", "fields", "lane", "expiresAt"]
    assert wrong(members, now=NOW) == named
    assert wrong({**HELLO, "scheduledTime": members["scheduledTime"]}, now=NOW) == ["scheduledTime"]
    assert wrong({}, prefix="sched", with_file=True) == ["phoneId", "scheduledTime"]


def test_the_lane_is_the_callers_where_none_is_given() -> None:
    assert read(HELLO).lane == "normal"
    assert read(HELLO, lane="bulk").lane == "bulk"
    assert read({**HELLO, "lane": "urgent"}, lane="bulk").lane == "urgent"


def test_when_it_is_due_depends_on_when_it_is_accepted() -> None:
    ahead = read({**HELLO, "scheduledTime": to_wire(NOW), "expiresAt": to_wire(NOW + timedelta(minutes=3))})
    assert due_at(ahead, NOW - timedelta(hours=1)) == NOW
    assert due_at(ahead, NOW + timedelta(minutes=2)) == NOW + timedelta(minutes=2)
    with pytest.raises(Invalid, match="expiresAt"):
        due_at(ahead, NOW + timedelta(minutes=3))
    with pytest.raises(Invalid, match="past"):
        due_at(ahead, NOW + timedelta(minutes=6))
    assert due_at(read(HELLO), NOW) == NOW
