"""Attempts to link an account, and the codes that they show."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Code:
    """One QR code and when it is the current one."""

    text: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Pairing:
    """One attempt to link an account."""

    id: UUID
    account_id: UUID
    user_id: UUID
    token: str
    state: str  # requested, waiting, linked, failed
    phone: str | None
    phone_code: str | None
    expires_at: datetime
    ended_at: datetime | None
    failure: str | None
    now: datetime  # the database's time when this was read
    codes: tuple[Code, ...]

    @property
    def current(self) -> Code | None:
        """The code that is valid now."""
        return next((code for code in self.codes if code.ends_at > self.now), None)
