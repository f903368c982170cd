"""All that the engine says can be stored, whatever strangers have put into it."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.message import DecodeError, Message

from chatwren.channels import facts, results
from chatwren.channels.engine import convert
from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.domain import storable
from tests.unit import hostile

SERVICE = pb.DESCRIPTOR.services_by_name["Engine"]
ACCOUNT = "01a2228b-9a7f-7792-8864-d9def4c5153d"
BOB = "919812345678@s.whatsapp.net"


def _event(message: Any) -> facts.Event:
    return convert.event(message.SerializeToString())


# How each answer of the engine is read of which something is kept. What is kept of the others was ours before.
READ: dict[str, Callable[[Any], Any]] = {
    "Event": _event,
    "PairEvent": convert.pair_event,
    "SendResponse": lambda answer: convert.send_result(answer, "id", BOB),
    "GroupsResponse": lambda answer: [convert.group(one) for one in answer.groups],
    "CheckNumbersResponse": lambda answer: [convert.address(one.jid) for one in answer.results],
}
NOTHING_KEPT = {
    "CloseResponse", "DownloadChunk", "InfoResponse", "LogoutOrphansResponse", "LogoutResponse", "MarkReadResponse",
    "OpenResponse", "RenewResponse", "UploadResponse",
}  # fmt: skip


BATCHES = {"EventBatch": pb.Event.DESCRIPTOR, "OutcomeBatch": pb.SendResponse.DESCRIPTOR}
"""Of what each is read by itself."""
ANSWERS = [BATCHES.get(method.output_type.name, method.output_type) for method in SERVICE.methods]


def test_every_answer_of_the_engine_is_accounted_for() -> None:
    assert {answer.name for answer in ANSWERS} == READ.keys() | NOTHING_KEPT


def strangers() -> Iterator[tuple[str, str, Message]]:
    for answer in ANSWERS:
        if answer.name in READ:
            for path, message in hostile.messages(answer):
                yield answer.name, path, message


def test_every_field_with_every_value_can_be_stored() -> None:
    paths = set()
    for kind, path, message in strangers():
        read = READ[kind](message)
        assert list(_unstorable(read)) == [], (kind, path)
        paths.add(f"{kind}.{path}")
    assert {"Event.message.id", "Event.receipt.ids", "Event.state.expires_at", "PairEvent.codes.codes.text"} <= paths
    assert len(paths) > 60


def test_the_times_and_the_numbers_that_strangers_choose_stop_no_event() -> None:
    """None of them makes an event unreadable: it is what it is, with a value in range."""
    for _, path, message in hostile_events():
        event = _event(message)
        if not path.startswith("unreadable") and path not in {"receipt.type", "state.kind"}:
            assert not isinstance(event.what, facts.Unreadable), (path, event.what)


def hostile_events() -> Iterator[tuple[str, str, Message]]:
    return (one for one in strangers() if one[0] == "Event" and "." in one[1])


def test_what_is_no_utf8_keeps_its_number_and_its_account() -> None:
    head = pb.EventHead(seq=7, account=ACCOUNT, needs_ack=True).SerializeToString()  # of a field, the last counts
    cases = {path: raw + head for path, raw in hostile.not_utf8(pb.Event.DESCRIPTOR) if path != "account"}
    assert {"message.push_name", "receipt.ids", "state.detail"} <= cases.keys()
    for path, raw in cases.items():
        event = convert.event(raw)
        assert (event.seq, event.account, event.needs_ack) == (7, UUID(ACCOUNT), True), path
        assert isinstance(event.what, facts.Unreadable), path
        assert event.what.reason.startswith("DecodeError"), path
        assert event.raw == raw


def test_what_has_no_number_is_no_event() -> None:
    with pytest.raises(DecodeError):
        convert.event(b"\xff\xff")


def test_too_long_a_list_costs_that_event_alone() -> None:
    read = pb.Event.Receipt(ids=["x"] * (storable.MAX_ITEMS + 1), type=pb.Event.Receipt.READ)
    event = _event(pb.Event(seq=3, account=ACCOUNT, receipt=read))
    assert (event.seq, event.kind) == (3, "receipt")
    assert isinstance(event.what, facts.Unreadable)
    assert "100,001" in event.what.reason


def test_a_group_of_more_than_are_kept_is_a_group() -> None:
    member = pb.Group.Participant(phone="4915200001")
    group = convert.group(pb.Group(jid="1@g.us", name="all", participants=[member] * (storable.MAX_ITEMS + 1)))
    assert (len(group.phones), group.size) == (storable.MAX_ITEMS, storable.MAX_ITEMS + 1)


def _unstorable(value: Any) -> Iterator[str]:
    """What PostgreSQL could not hold, or Python not read back."""
    if is_dataclass(value):
        for one in fields(value):
            if not (isinstance(value, facts.Event) and one.name == "seq"):
                yield from _unstorable(getattr(value, one.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _unstorable(item)
    elif not _is_storable(value):
        yield repr(value)[:100]


def _is_storable(value: Any) -> bool:
    match value:
        case None | bool() | bytes() | Enum() | UUID():
            return True
        case str():
            return "\0" not in value and value.encode().decode() == value and len(value) <= 65_536
        case int():
            return -(2**31) <= value < 2**31
        case datetime():
            return datetime(1970, 1, 1, tzinfo=UTC) <= value <= datetime(9999, 12, 30, tzinfo=UTC)
        case timedelta():
            return timedelta() <= value <= timedelta(days=366)
    return False


def test_an_outcome_that_only_a_newer_engine_knows_may_mean_that_it_is_out() -> None:
    assert convert.send_result(pb.SendResponse(), "id", BOB) == results.Unknown("")
    not_sent = pb.SendResponse.NotSent(reason=pb.SendResponse.NotSent.Reason.ValueType(99))
    result = convert.send_result(pb.SendResponse(not_sent=not_sent), "id", BOB)
    assert isinstance(result, results.NotSent)
    assert result.reason is results.NotSentReason.LOCAL


@pytest.mark.parametrize("reason", results.NotSentReason, ids=lambda reason: reason.name)
def test_why_a_message_was_not_sent_is_what_the_engine_says(reason: results.NotSentReason) -> None:
    said = pb.SendResponse.NotSent(reason=pb.SendResponse.NotSent.Reason.Value(reason.name), detail="so")
    assert convert.send_result(pb.SendResponse(not_sent=said), "id", BOB) == results.NotSent(reason, "so")


@pytest.mark.parametrize(("kind", "read"), [("DELIVERED", False), ("READ", True), ("PLAYED", True)])
def test_what_was_played_was_read(kind: str, *, read: bool) -> None:
    receipt = pb.Event.Receipt(ids=["A"], type=pb.Event.Receipt.Type.Value(kind), at=0)
    what = _event(pb.Event(seq=1, account=ACCOUNT, receipt=receipt)).what
    assert isinstance(what, facts.ReceiptReceived)
    assert (what.ids, what.read) == (("A",), read)


def test_a_ban_of_which_no_end_is_told_has_none() -> None:
    for expires_at, until in ((0, None), (1000, storable.EARLIEST + timedelta(seconds=1))):
        state = pb.Event.State(kind=pb.Event.State.BANNED, code=101, expires_at=expires_at)
        what = _event(pb.Event(seq=1, account=ACCOUNT, state=state)).what
        assert isinstance(what, facts.Restricted)
        assert (what.code, what.until) == (101, until)


@pytest.mark.parametrize(
    ("kind", "code", "what"),
    [
        ("CONNECTED", 0, facts.Connected(None)),
        ("DISCONNECTED", 0, facts.Offline("connection_lost", None, 0, "")),
        ("REPLACED", 0, facts.Offline("replaced", timedelta(seconds=5), 0, "")),
        ("OUTDATED", 405, facts.Offline("outdated", timedelta(minutes=15), 405, "")),
        ("FENCED", 0, facts.Offline("fenced", timedelta(), 0, "")),
        ("CONNECT_FAILURE", 400, facts.Offline("connect_failure_400", timedelta(minutes=1), 400, "")),
        ("LOGGED_OUT", 401, facts.Unlinked("logged_out", "unlinked_on_phone", 401, "")),
        ("LOGGED_OUT", 403, facts.Unlinked("logged_out", "locked", 403, "")),
        ("LOGGED_OUT", 406, facts.Unlinked("banned", "banned", 406, "")),
    ],
)
def test_what_becomes_of_a_connection(kind: str, code: int, what: facts.State) -> None:
    state = pb.Event.State(kind=pb.Event.State.Kind.Value(kind), code=code)
    assert _event(pb.Event(seq=1, account=ACCOUNT, state=state)).what == what


def test_every_change_of_a_connection_is_known() -> None:
    for kind in pb.Event.State.Kind.values():
        state = pb.Event.State(kind=kind)
        what = _event(pb.Event(seq=1, account=ACCOUNT, state=state)).what
        assert isinstance(what, facts.State) is (kind != 0), kind
