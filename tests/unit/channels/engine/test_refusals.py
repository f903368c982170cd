"""What WhatsApp's numbers mean."""

from datetime import timedelta

import pytest

from chatwren.channels.engine.refusals import refused
from chatwren.channels.results import AccountRefused, NewContactsRefused, Refused, Unknown
from chatwren.domain import reasons


def test_too_fast_is_said_of_the_account() -> None:
    assert refused(429, "why", to_group=False) == AccountRefused(429, timedelta(minutes=5), "why")


@pytest.mark.parametrize("code", [463, 475])
def test_strangers_are_refused_alone(code: int) -> None:
    assert refused(code, "why", to_group=False) == NewContactsRefused(code, timedelta(hours=1), "why")


@pytest.mark.parametrize("code", [500, 503])
def test_whatsapps_own_trouble_is_no_word_on_the_message(code: int) -> None:
    assert refused(code, "why", to_group=False) == Unknown("why", f"refused_{code}")


@pytest.mark.parametrize(
    ("code", "of_a_person", "of_a_group"),
    [
        (400, None, None),
        (401, "recipient", "recipient"),
        (403, "recipient", "group"),  # of a person: one has blocked the other
        (404, None, "no_group"),
        (479, None, None),
    ],
)
def test_every_other_number_is_the_last_word_on_the_message(
    code: int, of_a_person: str | None, of_a_group: str | None
) -> None:
    for to_group, kind in ((False, of_a_person), (True, of_a_group)):
        assert refused(code, "why", to_group=to_group) == Refused(reasons.rejected(code, kind), "why")
