"""Where somebody writes from: what a number without a country code, and a time without a time zone, mean."""

from dataclasses import dataclass

from chatwren.domain.accounts import Account
from chatwren.domain.number_plans import country_of
from chatwren.domain.times import zone_of_country
from chatwren.domain.users import User


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a user writes from, found out when it is asked for.

    Attributes:
        user: who may have set a time zone.
        account: whose number has a country; None before the first linking.
        default_zone: the operator's time zone; None: they set none.
    """

    user: User
    account: Account | None
    default_zone: str | None

    def country(self) -> str | None:
        """ISO 3166 code of the country of the account's number, else of the user's own; None if unknown."""
        return self._of_account() or (country_of(self.user.phone.removeprefix("+")) if self.user.phone else None)

    def zone(self) -> str | None:
        """Name of the zone by which the user means a time without one; None if nothing tells it."""
        return self.user.time_zone or self.default_zone or zone_of_country(self._of_account())

    def _of_account(self) -> str | None:
        return country_of(self.account.phone) if self.account and self.account.phone else None
