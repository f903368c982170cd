"""Who asks: the user, and what they may do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from chatwren.domain.accounts import Account
from chatwren.domain.users import User


class Scope(StrEnum):
    """What a caller may do."""

    READ = "read"
    SEND = "send"  # and change or cancel what waits
    CONTROL = "control"  # accounts: link, hold, unlink
    ADMIN = "admin"  # the user's own profile, password and sessions


class Way(StrEnum):
    """How a caller proves who they are."""

    SESSION = "session"


WAYS: Mapping[Scope, tuple[Way, ...]] = {
    Scope.READ: (Way.SESSION,),
    Scope.SEND: (Way.SESSION,),
    Scope.CONTROL: (Way.SESSION,),
    Scope.ADMIN: (Way.SESSION,),
}
"""The ways that give each scope."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A user, as a request proved it.

    Attributes:
        way: how it was proved.
        session: hash of the id of the session that proved it. What the caller asks for counts only while that lasts.
        account: the one that is meant where none is named; None before the first linking.
        standing: None, or all this was so a moment ago and is only supposed to be so still; then what stands for it,
            by which whoever stores something for the caller sees to it.
    """

    user: User
    way: Way
    session: bytes
    account: Account | None
    standing: int | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the caller may do what needs this scope."""
        return self.way in WAYS[scope]
