"""Where somebody writes from, by what is known of them."""

from uuid import UUID

import pytest

from chatwren.domain.users import User
from chatwren.domain.whereabouts import Whereabouts
from tests.unit.domain.test_health import Account


def user(time_zone: str | None = None) -> User:
    return User(UUID(int=1), "alice", "Alice", "", "", "", time_zone)


@pytest.mark.parametrize(
    ("own", "default", "phone", "zone"),
    [
        ("Asia/Dubai", "Europe/Berlin", "919876543210", "Asia/Dubai"),
        (None, "Europe/Berlin", "919876543210", "Europe/Berlin"),
        (None, None, "919876543210", "Asia/Kolkata"),
        (None, None, "12025550123", None),
        (None, None, None, None),
    ],
)
def test_the_zone_is_the_users_then_the_operators_then_the_countrys(
    own: str | None, default: str | None, phone: str | None, zone: str | None
) -> None:
    assert Whereabouts(user(own), Account(phone=phone), default).zone() == zone


def test_before_the_first_linking_no_country_is_known() -> None:
    here = Whereabouts(user(), None, None)
    assert (here.country(), here.zone()) == (None, None)
    assert Whereabouts(user(), Account(phone="919876543210"), None).country() == "IN"
