"""What people are told, word for word: programs have been seen to look for these sentences."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chatwren.domain import reasons
from chatwren.domain.reasons import ENGLISH, Reason, attempt, doubtful, next_step, params, rejected, sentence, stored

NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)
WAYS = {"link": "LINK", "release": "RELEASE", "cancel": "CANCEL"}

FAILURES = [
    (reasons.NOT_ON_WHATSAPP, "This phone number is not on WhatsApp."),
    (reasons.MEDIA_MISSING, "The file of this message is no longer stored. Send it again with the file."),
    (
        rejected(401, "recipient"),
        "WhatsApp does not let this account write to this recipient: perhaps one of them has blocked the other.",
    ),
    (rejected(479), "WhatsApp refused this message (its code 479)."),
    (
        reasons.DEADLINE_PASSED,
        "Its expiresAt passed before it could go out, so it was not sent.",
    ),
    (
        replace(reasons.UNCONFIRMED, cause=attempt("refused_500")),
        (
            "WhatsApp never confirmed this message, although it was sent again under the same id. "
            "It may have arrived; a late confirmation still counts."
        ),
    ),
    (
        reasons.UNCONFIRMED_IN_TIME,
        (
            "WhatsApp had not confirmed this message when its expiresAt passed, so it was not sent again. "
            "It may have arrived; a late confirmation still counts."
        ),
    ),
    (
        doubtful(rejected(479)),
        (
            "WhatsApp refused this message (its code 479). But an earlier attempt had no answer, "
            "so the message may have arrived; a late confirmation still counts."
        ),
    ),
]


@pytest.mark.parametrize(("failure", "said"), FAILURES)
def test_a_failure_is_stored_as_data_and_said_when_it_is_read(failure: Reason, said: str) -> None:
    kept = json.loads(json.dumps(params(failure)))
    assert stored(failure.code, kept) == failure
    assert sentence(stored(failure.code, kept)) == said


@pytest.mark.parametrize(
    ("reason", "said", "step"),
    [
        (Reason("scheduled", at=NOON), "It is due at 2027-01-01T12:00:00.000Z.", None),
        (
            Reason("held", "relinked_other_number"),
            "Another number was linked while messages waited. Release them, or cancel them.",
            "RELEASE lets them go; CANCEL cancels one.",
        ),
        (
            Reason("logged_out", "locked"),
            "The WhatsApp account is logged out: WhatsApp has locked it. Link it again by its QR code.",
            "Link it: LINK, and scan the code with the phone.",
        ),
        (
            Reason("restricted", "same_message", until=NOON, number=104),
            (
                "WhatsApp restricts this account until 2027-01-01T12:00:00.000Z (its code 104): "
                "the same message went to too many people."
            ),
            "It ends by itself. Write more slowly and to people who expect it, or the next one is longer.",
        ),
        (
            Reason("new_chat_cap", number=475),
            (
                "WhatsApp lets this account begin no more new chats for now (its code 475). Those to contacts who have "
                "written, or were reached before, go on."
            ),
            "It is tried again then. Until somebody new writes first, there is nothing to be done.",
        ),
        (attempt("refused_463"), "WhatsApp refused it (its code 463)", None),
        (attempt("no_answer"), "WhatsApp did not confirm it in time", None),
    ],
)
def test_what_a_person_is_told_and_can_do(reason: Reason, said: str, step: str | None) -> None:
    assert (sentence(reason), next_step(reason, WAYS)) == (said, step)


def test_a_kind_without_words_of_its_own_is_said_as_its_code_is() -> None:
    assert sentence(Reason("offline", "starting")) == sentence(Reason("offline"))
    assert sentence(Reason("of_another_release")) == "It failed."


def test_a_code_of_a_pairing_is_no_code_of_anything_else() -> None:
    outdated = reasons.pairing_failed("outdated")
    assert outdated is not None
    assert "the operator has to update" in sentence(outdated)
    for code in ("timeout", "banned", None):
        assert reasons.pairing_failed(code) is None


@pytest.mark.parametrize("key", ENGLISH)
def test_all_words_name_only_what_reasons_have(key: str) -> None:
    code, _, kind = key.partition(".")
    reason = Reason(code, kind or None, until=NOON, number=1, at=NOON, cause=Reason("unsendable"))
    assert "{" not in sentence(reason) + (next_step(reason, WAYS) or "")
