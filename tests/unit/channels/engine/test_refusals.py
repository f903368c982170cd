"""What WhatsApp's numbers mean."""

from datetime import timedelta

import pytest

from chatwren.channels.engine.refusals import refused
from chatwren.channels.results import AccountRefused, NewContactsRefused, Refused, Unknown
from chatwren.domain import reasons


def test_too_fast_is_said_of_the_account() -> None:
    assert refused(429, "why") == AccountRefused(429, timedelta(minutes=5), "why")


@pytest.mark.parametrize("code", [463, 475])
def test_strangers_are_refused_alone(code: int) -> None:
    assert refused(code, "why") == NewContactsRefused(code, timedelta(hours=1), "why")


@pytest.mark.parametrize("code", [500, 503])
def test_whatsapps_own_trouble_is_no_word_on_the_message(code: int) -> None:
    assert refused(code, "why") == Unknown("why", f"refused_{code}")


@pytest.mark.parametrize(
    ("code", "kind"), [(400, None), (401, "recipient"), (403, "group"), (404, "no_group"), (479, None)]
)
def test_every_other_number_is_the_last_word_on_the_message(code: int, kind: str | None) -> None:
    assert refused(code, "why") == Refused(reasons.rejected(code, kind), "why")
