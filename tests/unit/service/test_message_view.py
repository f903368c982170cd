"""What is shown of a message: its status, why it waits, when it goes, and what has happened to it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chatwren.domain.accounts import Account
from chatwren.domain.messages import Shown
from chatwren.domain.pacing import ColdCap, ColdState, Pacing
from chatwren.domain.reasons import MEDIA_MISSING, Reason, doubtful, params, sentence
from chatwren.service.message_view import shown, status_of, timeline
from chatwren.service.queue_times import QueueTimes, When
from chatwren.store.messages import MessageRow, Step

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PACING = Pacing(10 * SECOND, 0 * SECOND, ColdCap(0, 0, 0))
ACCOUNT = Account(
    id=UUID(int=3), user_id=UUID(int=2), status="linked", status_since=NOW, status_reason=None, phone="1", name=None,
    connected=True, connected_since=NOW, offline_reason=None, restriction_code=None, restricted_since=None,
    restricted_until=None, held_reason=None, held_since=None, cold_code=None, cold_since=None, cold_until=None,
    in_flight=None, next_at=NOW, pacing=PACING, now=NOW,
)  # fmt: skip
NOTHING = QueueTimes(ACCOUNT, None, ColdState(None, 0, None), None, {}, {})

ROW = MessageRow(
    id=UUID(int=1), user_id=UUID(int=2), account_id=UUID(int=3), prefix="msg", recipient_kind="phone", recipient="1",
    text="hello", original="hello", modifications=None, changes=None, lane="normal", accepted_at=NOW - 60 * SECOND,
    due=NOW - 60 * SECOND, expires_at=None, status="waiting", attempts=0, unconfirmed=0, claimed_at=None, sent_at=None,
    ended_at=None, delivered_at=None, read_at=None, error_code=None, error_params=None, error_message=None,
    media_id=None, media_kind=None, media_mimetype=None, media_file_name=None, media_size=None, recipient_retry_at=None,
    recipient_retry_code=None, now=NOW,
)  # fmt: skip
SENDING = replace(ROW, status="sending", attempts=1, claimed_at=NOW - SECOND)
SENT = replace(ROW, status="sent", attempts=1, claimed_at=NOW - 9 * SECOND, sent_at=NOW - 8 * SECOND)


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (ROW, Shown.QUEUED),
        (replace(ROW, due=NOW), Shown.QUEUED),
        (replace(ROW, due=NOW + SECOND), Shown.SCHEDULED),
        (SENDING, Shown.SENDING),
        (SENT, Shown.SENT),
    ],
)
def test_what_waits_is_scheduled_before_its_time_and_queued_after(row: MessageRow, status: Shown) -> None:
    assert status_of(row) == status


@pytest.mark.parametrize(
    ("delivered", "read", "receipt"), [(None, None, None), (NOW, None, "delivered"), (NOW, NOW, "read")]
)
def test_the_receipt(delivered: datetime | None, read: datetime | None, receipt: str | None) -> None:
    assert shown(replace(SENT, delivered_at=delivered, read_at=read), NOTHING).receipt == receipt


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (SENDING, False),
        (replace(SENDING, claimed_at=NOW - 5 * SECOND), False),
        (replace(SENDING, claimed_at=NOW - 6 * SECOND), True),
        (replace(SENDING, attempts=2), True),
        (replace(SENDING, unconfirmed=1), True),
    ],
)
def test_that_it_is_being_confirmed_is_said_when_it_takes_long(row: MessageRow, *, said: bool) -> None:
    reason = shown(row, NOTHING).reason
    assert (reason is not None and reason.code == "confirming") == said


@pytest.mark.parametrize(("retry_in", "said"), [(SECOND, True), (-SECOND, False)])
def test_what_waits_for_its_recipient_says_so_until_then(retry_in: timedelta, *, said: bool) -> None:
    for code in ("cold_refused", None):
        view = shown(replace(ROW, recipient_retry_at=NOW + retry_in, recipient_retry_code=code), NOTHING)
        assert view.reason is not None
        assert view.reason.code == ((code or "recipient_unreachable") if said else "pacing")
        assert view.next_attempt == (When(NOW + retry_in, estimated=False) if said else None)


def test_what_the_account_waits_for_comes_first_and_its_end_is_an_estimate() -> None:
    row = replace(ROW, recipient_retry_at=NOW + SECOND)
    for until in (NOW + 60 * SECOND, None):
        blocked = Reason("restricted", until=until)
        view = shown(row, replace(NOTHING, blocked=blocked))
        assert (view.reason, view.next_attempt) == (blocked, When(until, estimated=True) if until else None)
    later = shown(replace(ROW, due=NOW + SECOND), replace(NOTHING, blocked=blocked))
    assert later.reason is not None
    assert (later.reason.code, later.next_attempt) == ("scheduled", When(NOW + SECOND, estimated=False))


PASSED = replace(ROW, expires_at=NOW)


def test_what_has_passed_its_deadline_says_so_before_it_is_swept_up() -> None:
    row = replace(PASSED, recipient_retry_at=NOW + SECOND)
    blocked = replace(NOTHING, blocked=Reason("offline", until=NOW + SECOND))
    for times in (NOTHING, blocked):
        view = shown(row, times)
        assert view.reason is not None
        assert (view.reason.code, view.next_attempt) == ("deadline_passed", None)


def test_what_is_not_confirmed_at_its_deadline_does_not_go_again() -> None:
    late = replace(SENDING, unconfirmed=1)
    for row, again in ((replace(late, expires_at=NOW + SECOND), True), (replace(late, expires_at=NOW), False)):
        reason = shown(row, NOTHING).reason
        assert reason is not None
        said = sentence(reason)
        assert ("goes again" in said, "expiresAt has passed" in said) == (again, not again)


@pytest.mark.parametrize(("expires_in", "told"), [(10 * SECOND, False), (11 * SECOND, True)])
def test_no_attempt_is_announced_for_a_time_after_the_deadline(expires_in: timedelta, *, told: bool) -> None:
    behind_one = replace(NOTHING, places={ROW.id: 1})
    view = shown(replace(ROW, expires_at=NOW + expires_in), behind_one)
    assert view.reason is not None
    assert (view.reason.code, view.next_attempt is not None) == ("pacing", told)


DOUBT = doubtful(MEDIA_MISSING)


def test_a_failure_is_said_by_its_code_and_what_is_stored_with_it_or_as_an_older_release_said_it() -> None:
    failed = replace(ROW, status="failed", ended_at=NOW, error_code=DOUBT.code, error_params=params(DOUBT))
    assert shown(failed, NOTHING).reason == DOUBT
    assert timeline(failed, ())[-1].reason == DOUBT
    older = shown(replace(failed, error_message="It was so."), NOTHING).reason
    assert older is not None
    assert (older.code, sentence(older)) == (DOUBT.code, "It was so.")


def test_a_failure_before_a_retry_is_said_so_too() -> None:
    newer = Step(NOW, "failed", DOUBT.code, params(DOUBT))
    assert timeline(ROW, [newer])[-1].reason == DOUBT
    assert steps_of(ROW, (NOW, "failed", "It was so."))[-1] == ("failed", "It was so.")


def steps_of(row: MessageRow, *noted: tuple[datetime, str, str | None]) -> list[tuple[str, int | str | None]]:
    found = timeline(row, [Step(*one) for one in noted])
    assert [one.at for one in found] == sorted(one.at for one in found)
    return [(one.step, sentence(one.reason) if one.reason else one.number) for one in found]


def test_the_timeline_is_in_order_and_tells_each_attempt_once() -> None:
    first, unknown = NOW - 9 * SECOND, NOW - 8 * SECOND
    noted = [(first, "attempt", "1"), (unknown, "unconfirmed", "no_answer")]
    again = replace(SENDING, attempts=2, claimed_at=NOW - 2 * SECOND)
    assert steps_of(again, *noted) == [
        ("accepted", None),
        ("attempt", 1),
        ("unconfirmed", "WhatsApp did not confirm it in time"),
        ("attempt", 2),
    ]
    assert steps_of(replace(again, attempts=1, claimed_at=first), *noted)[1:] == [
        ("attempt", 1),
        ("unconfirmed", "WhatsApp did not confirm it in time"),
    ]
    done = replace(SENT, delivered_at=NOW - 2 * SECOND, read_at=NOW - SECOND)
    assert steps_of(done, (NOW - 30 * SECOND, "rescheduled", None)) == [
        ("accepted", None),
        ("rescheduled", None),
        ("attempt", 1),
        ("sent", None),
        ("delivered", None),
        ("read", None),
    ]
    failed = replace(ROW, status="failed", ended_at=NOW, error_message="No.", error_code="x")
    assert steps_of(failed, (NOW - SECOND, "not_sent", "refused_463")) == [
        ("accepted", None),
        ("not_sent", "WhatsApp refused it (its code 463)"),
        ("failed", "No."),
    ]


def test_due_is_told_of_what_was_for_later_and_when_it_is() -> None:
    put_off = (NOW - 30 * SECOND, "rescheduled", None)
    assert [step for step, _ in steps_of(replace(ROW, due=NOW - SECOND), put_off)] == ["accepted", "rescheduled", "due"]
    assert steps_of(replace(ROW, due=NOW - SECOND)) == [("accepted", None), ("due", None)]
    assert steps_of(replace(ROW, due=NOW + SECOND)) == [("accepted", None)]
    assert steps_of(ROW) == [("accepted", None)]
