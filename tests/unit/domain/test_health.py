"""Why an account does not send, or writes to nobody new: what is said first, and until when."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from chatwren.domain import accounts
from chatwren.domain.health import account_reason, new_contacts_reason
from chatwren.domain.pacing import USUAL, ColdCap, ColdState, Pacing
from chatwren.domain.reasons import sentence

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ID = UUID(int=1)


@dataclass(frozen=True)
class Account(accounts.Account):
    """A linked and connected account of which nothing is the matter."""

    id: UUID = ID
    user_id: UUID = ID
    status: str = "linked"
    status_since: datetime = NOW - 9 * HOUR
    status_reason: str | None = None
    phone: str | None = "919876543210"
    name: str | None = None
    connected: bool = True
    connected_since: datetime = NOW - 8 * HOUR
    offline_reason: str | None = None
    restriction_code: int | None = None
    restricted_since: datetime | None = None
    restricted_until: datetime | None = None
    held_reason: str | None = None
    held_since: datetime | None = None
    cold_code: int | None = None
    cold_since: datetime | None = None
    cold_until: datetime | None = None
    in_flight: UUID | None = None
    next_at: datetime = NOW
    pacing: Pacing = USUAL
    now: datetime = NOW


@dataclass(frozen=True)
class Cold(ColdState):
    cap: int | None = 20
    used: int = 0
    free_at: datetime | None = None


OFFLINE = Account(connected=False)
RESTRICTED = Account(restriction_code=101, restricted_since=NOW - HOUR, restricted_until=NOW + HOUR)


@pytest.mark.parametrize(
    ("account", "code"),
    [
        (Account(), None),
        (OFFLINE, "offline"),
        (replace(OFFLINE, offline_reason="something_new"), "offline"),
        (RESTRICTED, "restricted"),
        (replace(RESTRICTED, connected=False), "restricted"),
        (replace(RESTRICTED, restricted_until=NOW), None),
        (replace(RESTRICTED, restricted_until=NOW - HOUR, connected=False), "offline"),
        (replace(RESTRICTED, held_reason="user"), "held"),
        (replace(RESTRICTED, held_reason="user", status="logged_out"), "logged_out"),
        (Account(status="banned"), "banned"),
        (Account(status="new", connected=False), "never_linked"),
    ],
)
def test_of_several_reasons_the_one_that_a_person_can_act_on_comes_first(account: Account, code: str | None) -> None:
    reason = account_reason(account, NOW)
    assert (reason and reason.code) == code


def test_since_and_until_are_those_of_the_reason() -> None:
    for account, since, until in (
        (OFFLINE, OFFLINE.connected_since, None),
        (RESTRICTED, NOW - HOUR, NOW + HOUR),
        (Account(held_reason="user", held_since=NOW), NOW, None),
        (Account(status="logged_out"), Account().status_since, None),
    ):
        reason = account_reason(account, NOW)
        assert reason is not None
        assert (reason.since, reason.until) == (since, until)


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (replace(OFFLINE, offline_reason="replaced"), "Another program"),
        (replace(OFFLINE, offline_reason="outdated"), "its code 405"),
        (replace(OFFLINE, offline_reason="restarts"), "is being opened again"),
        (Account(status="logged_out", status_reason="unlinked_on_phone"), "unlinked on the phone. "),
        (Account(status="logged_out"), "is logged out. "),
        (RESTRICTED, "(its code 101): messages went to too many people"),
        (replace(RESTRICTED, restriction_code=199), "(its code 199)."),
        (replace(RESTRICTED, restriction_code=None), "2027-01-01T13:00:00.000Z."),
        (Account(held_reason="relinked_other_number"), "Another number was linked"),
        (Account(held_reason="user"), "on hold until you release it"),
    ],
)
def test_the_sentence_says_the_cause(account: Account, said: str) -> None:
    reason = account_reason(account, NOW)
    assert reason is not None
    assert said in sentence(reason)


@pytest.mark.parametrize(
    ("account", "cold", "code", "until"),
    [
        (Account(), Cold(), None, None),
        (Account(), Cold(free_at=NOW + HOUR), "daily_cap", NOW + HOUR),
        (Account(cold_code=463, cold_until=NOW + HOUR), Cold(), "new_contacts_refused", NOW + HOUR),
        (Account(cold_code=475, cold_until=NOW + HOUR), Cold(), "new_chat_cap", NOW + HOUR),
        (Account(cold_code=463, cold_until=NOW), Cold(), None, None),
        (Account(cold_code=463, cold_until=NOW + HOUR), Cold(free_at=NOW + 2 * HOUR), "new_contacts_refused",
         NOW + HOUR),
    ],
)  # fmt: skip
def test_why_nobody_new_is_written_to(
    account: Account, cold: Cold, code: str | None, *, until: datetime | None
) -> None:
    reason = new_contacts_reason(account, cold, NOW)
    assert (reason and reason.code, reason and reason.until) == (code, until)


def test_the_mean_pause_lies_in_the_middle() -> None:
    pacing = Pacing(timedelta(seconds=10), timedelta(seconds=6), ColdCap(0, 0, 0))
    assert pacing.mean == timedelta(seconds=13)
