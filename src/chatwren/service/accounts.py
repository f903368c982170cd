"""Accounts: how they are, their groups, and holding, releasing and unlinking them. Linking them: linking.py.

The worker does the work: what is here leaves a row that asks for it, and reads the result.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from chatwren.domain.accounts import Account
from chatwren.domain.errors import Conflict, Unavailable
from chatwren.domain.health import account_reason, new_contacts_reason
from chatwren.domain.pairings import Pairing
from chatwren.domain.reasons import Reason, pairing_failed, sentence
from chatwren.store import accounts, cold, pairings
from chatwren.store.database import Connection, Database

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class NewContacts:
    """How many new contacts an account may write to.

    Attributes:
        cap: within 24 hours; None: as many as it likes.
        used: to how many it has written in the last 24 hours.
        reason: why it writes to no more of them now; None: it may.
    """

    cap: int | None
    used: int
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account as `GET /api/whatsapp/status` tells it."""

    status: Literal["disconnected", "connecting", "qr", "authenticated", "logged_out", "banned"]
    phone: str | None = None  # "+digits"; None: it was never linked
    name: str | None = None  # until it is known, the number
    connected: bool = False
    health: Literal["ok", "offline", "restricted"] | None = None
    reason: Reason | None = None
    since: datetime | None = None
    until: datetime | None = None
    new_contacts: NewContacts | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A group that the account is in. `participants` are the members whose number is known, as `+digits`."""

    id: str
    name: str
    participants: list[str]
    size: int


async def status(db: Database, user_id: UUID, account_id: UUID | None) -> AccountState:
    """How an account of the user is; `account_id` None: before the first linking."""
    async with db.connection() as connection:
        account = await accounts.get(connection, user_id, account_id) if account_id else None
        pairing = await pairings.latest_of_account(connection, account.id) if account else None
        new_contacts = await cold.state(connection, account.id) if account else None
    if account is None:
        return AccountState("disconnected")
    phone = f"+{account.phone}" if account.phone else None
    name = account.name or phone  # the phone tells its name a moment after it was linked
    if account.status == "linked":
        reason = account_reason(account, account.now)
        health: Literal["ok", "offline", "restricted"] = (
            "restricted" if reason and reason.code == "restricted" else "ok" if account.connected else "offline"
        )
        return AccountState(
            "authenticated",
            phone,
            name,
            connected=account.connected,
            health=health,
            reason=reason,
            since=(reason and reason.since) or account.connected_since,
            until=account.restricted_until if health == "restricted" else None,
            new_contacts=NewContacts(
                new_contacts.cap, new_contacts.used, new_contacts_reason(account, new_contacts, account.now)
            )
            if new_contacts
            else None,
        )
    shown, reason, since = _unlinked(account, pairing)
    return AccountState(shown, phone, name, reason=reason, since=since)


def _unlinked(
    account: Account, pairing: Pairing | None
) -> tuple[Literal["disconnected", "connecting", "qr", "logged_out", "banned"], Reason | None, datetime]:
    if pairing is not None and pairing.ended_at is None and pairing.expires_at > pairing.now:
        return ("qr" if pairing.current else "connecting"), None, account.status_since
    if pairing is not None and (failure := pairing_failed(pairing.failure)):
        ended = pairing.ended_at or account.status_since
        return ("disconnected" if account.status == "new" else "logged_out"), failure, ended
    if account.status == "new":
        return "disconnected", None, account.status_since
    return (
        "banned" if account.status == "banned" else "logged_out",
        account_reason(account, account.now),
        account.status_since,
    )


async def groups(
    db: Database, user_id: UUID, account_id: UUID | None, *, refresh: bool, wait: float = 10
) -> list[Group]:
    """The account's groups as last known; asked of WhatsApp when never asked, or with `refresh`.

    Raises:
        Conflict: nothing was ever linked, or it was unlinked before the list was ever asked for.
        Unavailable: WhatsApp did not answer within `wait` seconds.
    """
    async with db.transaction() as connection:
        account = await _linked_once(connection, user_id, account_id)
        online = account.status == "linked" and account.connected
        known, _ = await accounts.groups(connection, account.id)
        if known is not None and not (refresh and online):
            return _groups(known)
        if account.status != "linked":
            reason = account_reason(account, account.now)
            raise Conflict(sentence(reason) if reason else "Nothing is linked.", code="logged_out")
        wanted = await accounts.want_groups(connection, account.id)
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        async with db.connection() as connection:
            known, at = await accounts.groups(connection, account.id)
        if known is not None and at is not None and at >= wanted:
            return _groups(known)
        await asyncio.sleep(_POLL_SECONDS)
    if known is not None and not refresh:
        return _groups(known)
    raise Unavailable("WhatsApp has not answered with the group list yet. Ask again in a few seconds.", retry_after=5)


def _groups(known: list[dict[str, Any]]) -> list[Group]:
    return [Group(one["id"], one["name"], one["participants"], one["size"]) for one in known]


async def logout(db: Database, user_id: UUID, account_id: UUID | None) -> None:
    """Unlink the account. Done by its worker, or at once where nothing is linked.

    Raises:
        Conflict: nothing was ever linked.
    """
    async with db.transaction() as connection:
        account = await _linked_once(connection, user_id, account_id)
        await accounts.want_logout(connection, account.id)


async def hold(db: Database, user_id: UUID, account_id: UUID | None) -> None:
    """Let nothing go out until `release`; what is being sent ends.

    Raises:
        Conflict: nothing was ever linked.
    """
    async with db.transaction() as connection:
        account = await _linked_once(connection, user_id, account_id)
        await accounts.hold(connection, account.id)


async def release(db: Database, user_id: UUID, account_id: UUID | None) -> None:
    """Let messages that are held go out.

    Raises:
        Conflict: nothing was ever linked.
    """
    async with db.transaction() as connection:
        account = await _linked_once(connection, user_id, account_id)
        await accounts.release(connection, account.id)


async def _linked_once(connection: Connection, user_id: UUID, account_id: UUID | None) -> Account:
    account = await accounts.get(connection, user_id, account_id) if account_id else None
    if account is None or account.status == "new":
        raise never_linked()
    return account


def never_linked() -> Conflict:
    """The error of everything that needs an account before one was linked."""
    return Conflict(
        "No WhatsApp account has been linked yet. Fetch /api/whatsapp/createqr and scan the code with your phone.",
        code="never_linked",
    )
