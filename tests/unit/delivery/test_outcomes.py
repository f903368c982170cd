"""What is decided after an attempt."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chatwren.channels.results import (
    AccountRefused,
    NewContactsRefused,
    NotSent,
    NotSentReason,
    Refused,
    Result,
    Sent,
    Unknown,
)
from chatwren.delivery.outcomes import decide
from chatwren.domain import reasons
from chatwren.domain.messages import NEXT, OUTCOME_UNKNOWN, Status
from chatwren.domain.reasons import Reason

HOUR = timedelta(hours=1)
RESULTS: list[Result] = [
    Sent("id"),
    *(NotSent(reason) for reason in NotSentReason),
    Unknown(),
    AccountRefused(429, HOUR),
    NewContactsRefused(463, HOUR),
    Refused(reasons.NOT_ON_WHATSAPP),
    Refused(reasons.MEDIA_MISSING),
    Refused(reasons.rejected(479)),
]


@pytest.mark.parametrize("result", RESULTS, ids=repr)
@pytest.mark.parametrize("unconfirmed", [0, 1, 5])
@pytest.mark.parametrize("attempts", [1, 30])
def test_each_result_leads_where_a_message_being_sent_may_go(result: Result, unconfirmed: int, attempts: int) -> None:
    decision = decide(result, attempts=attempts, unconfirmed=unconfirmed, max_resends=5)
    allowed = {after for (before, _), after in NEXT.items() if before is Status.SENDING}
    assert decision.status in allowed
    assert (decision.failure is not None) == (decision.status is Status.FAILED)
    if unconfirmed:
        assert decision.status is not Status.WAITING, "an earlier attempt may be out: it could be cancelled there"
    if decision.status is Status.SENDING:
        assert decision.account_pause
    if decision.status in (Status.WAITING, Status.SENDING):
        assert not decision.fact
        assert decision.account_pause or decision.recipient_pause


def test_an_unknown_outcome_is_tried_again_ever_more_slowly_and_then_given_up() -> None:
    pauses = []
    for unconfirmed in range(5):
        decision = decide(Unknown(), attempts=unconfirmed + 1, unconfirmed=unconfirmed, max_resends=5)
        assert (decision.status, decision.unconfirmed) == (Status.SENDING, True)
        pauses.append(decision.account_pause)
    assert pauses == [timedelta(seconds=one) for one in (2, 4, 8, 16, 32)]
    last = decide(Unknown(cause="refused_500"), attempts=6, unconfirmed=5, max_resends=5)
    assert last.status is Status.FAILED
    assert last.failure == replace(reasons.UNCONFIRMED, cause=reasons.attempt("refused_500"))
    assert not last.fact


def test_where_nothing_is_sent_again_an_unknown_outcome_is_the_last_word_but_one() -> None:
    decision = decide(Unknown(), attempts=1, unconfirmed=0, max_resends=0)
    assert decision.failure == replace(reasons.UNANSWERED, cause=reasons.attempt("no_answer"))
    assert (decision.unconfirmed, decision.fact) == (True, False)


def test_a_refusal_of_the_account_holds_it_and_keeps_the_message() -> None:
    decision = decide(AccountRefused(429, HOUR), attempts=1, unconfirmed=0, max_resends=5)
    assert (decision.status, decision.restriction, decision.cause) == (Status.WAITING, 429, "refused_429")
    assert decision.account_pause == HOUR


def test_a_refusal_of_new_contacts_holds_them_alone() -> None:
    decision = decide(NewContactsRefused(463, HOUR), attempts=1, unconfirmed=0, max_resends=5)
    assert (decision.status, decision.cold_refusal, decision.account_pause) == (Status.WAITING, 463, None)
    assert (decision.recipient_pause, decision.cause) == (HOUR, "refused_463")
    # A message of which an earlier attempt may be out does not return to those that wait: it is tried on.
    doubtful = decide(NewContactsRefused(463, HOUR), attempts=2, unconfirmed=1, max_resends=5)
    assert (doubtful.status, doubtful.unconfirmed, doubtful.cold_refusal) == (Status.SENDING, True, None)


def test_a_recipient_that_cannot_be_reached_delays_only_itself() -> None:
    decision = decide(NotSent(NotSentReason.LOCAL), attempts=3, unconfirmed=0, max_resends=5)
    assert (decision.status, decision.account_pause) == (Status.WAITING, None)
    assert decision.recipient_pause == timedelta(seconds=8)
    last = decide(NotSent(NotSentReason.LOCAL), attempts=24, unconfirmed=0, max_resends=5)
    assert last.failure == reasons.UNREACHABLE


def test_a_busy_account_waits_and_says_nothing_of_the_recipient() -> None:
    decision = decide(NotSent(NotSentReason.BUSY), attempts=24, unconfirmed=0, max_resends=5)
    assert (decision.status, decision.failure, decision.recipient_pause) == (Status.WAITING, None, None)
    assert (decision.account_pause, decision.cause) == (timedelta(seconds=1), "busy")


def test_an_unknown_outcome_says_its_cause() -> None:
    for result, cause in ((Unknown(), "no_answer"), (Unknown(cause="refused_500"), "refused_500")):
        assert decide(result, attempts=1, unconfirmed=0, max_resends=5).cause == cause


def test_pauses_have_a_longest() -> None:
    unknown = decide(Unknown(), attempts=21, unconfirmed=20, max_resends=99)
    assert unknown.account_pause == timedelta(minutes=1)
    unreachable = decide(NotSent(NotSentReason.LOCAL), attempts=23, unconfirmed=0, max_resends=5)
    assert unreachable.recipient_pause == timedelta(minutes=5)


@pytest.mark.parametrize("result", [Sent("id"), Refused(reasons.UNSENDABLE)])
def test_what_whatsapp_or_we_know_is_a_fact_whoever_reports_it(result: Result) -> None:
    assert decide(result, attempts=1, unconfirmed=0, max_resends=5).fact


def test_a_refusal_of_the_message_is_its_last_word() -> None:
    decision = decide(Refused(reasons.rejected(479)), attempts=1, unconfirmed=0, max_resends=5)
    assert decision.fact
    assert decision.failure is not None
    assert decision.failure.code == "rejected_479"


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        (Refused(reasons.UNSENDABLE), reasons.UNSENDABLE),
        (NotSent(NotSentReason.LOCAL), reasons.attempt("recipient_unreachable")),
    ],
)
def test_a_refusal_after_an_attempt_without_an_answer_is_no_last_word(result: Result, cause: Reason) -> None:
    decision = decide(result, attempts=24, unconfirmed=1, max_resends=1)
    assert decision.failure is not None
    assert (decision.failure.code, decision.failure.cause) == (OUTCOME_UNKNOWN, cause)
