"""Linking a WhatsApp account: by a QR code, or by a code that is typed on the phone.

The worker does the work: what is here leaves a row that asks for it, and reads the result. How often somebody may begin
is bounded; to join a linking that runs is not to begin one. A code that is typed on a phone makes WhatsApp prompt its
owner, whoever asks for it: who may ask often is a nuisance to strangers. A QR code troubles nobody but WhatsApp, so
there is room for somebody who fiddles.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from chatwren.domain.accounts import Account
from chatwren.domain.caller import Caller
from chatwren.domain.errors import Conflict, NotFound, TooMany, Unavailable
from chatwren.domain.limits import REACHED, Limit
from chatwren.domain.pairings import Code, Pairing
from chatwren.domain.reasons import pairing_failed, sentence
from chatwren.service import sessions
from chatwren.service.limits import Limits
from chatwren.store import accounts, pairings
from chatwren.store.database import Connection, Database

_POLL_SECONDS = 0.1
_WINDOW: Final = timedelta(minutes=10)
_DAY: Final = timedelta(days=1)
_OF_A_NUMBER: Final = 10


@dataclass(frozen=True, slots=True)
class QrState:
    """What a page that shows the QR code needs."""

    status: Literal["qr", "authenticated"]
    token: str
    code: Code | None
    codes: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture of the code shows, and whose account would be linked."""

    user_id: UUID
    state: Literal["codes", "linked", "expired"]
    codes: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class PhoneCode:
    """A code to be typed on the phone, and when it ends."""

    text: str
    expires_at: datetime


async def create_qr(
    db: Database, limits: Limits, caller: Caller, account_id: UUID | None, *, wait: float = 5
) -> QrState:
    """Start linking an account, or join the linking that runs, and wait for the current code.

    Args:
        limits: how often users may begin.
        account_id: which; None: the one that is meant where none is named, made now if there is none.
        wait: seconds for the code.

    Raises:
        NotAuthenticated: the session has ended meanwhile.
        NotFound: the user has no such account.
        TooMany: too many linkings were begun lately.
        Unavailable: no code came within `wait` seconds.
    """
    user_id = caller.user.id
    allowed = await limits.of(user_id, limit_of(None))
    async with db.transaction() as connection:
        account = await _to_link(connection, caller, account_id)
        if account.status == "linked":
            return QrState("authenticated", await pairings.linked_token(connection, account.id) or "", None, ())
        pairing = await start_or_join(connection, account_id=account.id, user_id=user_id, phone=None, allowed=allowed)
    pairing = await _settled(db, pairing, wait, lambda one: one.current is not None)
    if pairing.state == "linked":
        return QrState("authenticated", pairing.token, None, ())
    code = pairing.current
    if code is None:
        raise _no_code(pairing)
    return QrState("qr", pairing.token, code, pairing.codes)


async def pair_by_phone(
    db: Database, limits: Limits, caller: Caller, account_id: UUID | None, phone_digits: str, *, wait: float = 10
) -> PhoneCode:
    """Start linking by a code that the user types on the phone with this number. `account_id`: as for `create_qr`.

    Raises:
        NotAuthenticated: the session has ended meanwhile.
        NotFound: the user has no such account.
        Conflict: it is linked already.
        TooMany: too many linkings were begun lately, by the user or of this number.
        Unavailable: no code came within `wait` seconds.
    """
    user_id = caller.user.id
    allowed = await limits.of(user_id, limit_of(phone_digits))
    async with db.transaction() as connection:
        account = await _to_link(connection, caller, account_id)
        if account.status == "linked":
            raise Conflict("A WhatsApp account is linked already. Log it out first.", code="already_linked")
        pairing = await start_or_join(
            connection, account_id=account.id, user_id=user_id, phone=phone_digits, allowed=allowed
        )
    pairing = await _settled(db, pairing, wait, lambda one: one.phone_code is not None)
    if pairing.phone_code is None:
        raise _no_code(pairing)
    return PhoneCode(pairing.phone_code, pairing.expires_at)


async def _to_link(connection: Connection, caller: Caller, account_id: UUID | None) -> Account:
    """The account to be linked; until the end of the transaction no other linking of the user begins.

    Raises:
        NotAuthenticated: the session has ended, or the user is being deleted.
        NotFound: the user has no such account.
    """
    await sessions.confirm(connection, caller)  # the end of a session ends what it has begun, and nothing after that
    if account_id is None:
        return await accounts.create_default(connection, caller.user.id)
    account = await accounts.get(connection, caller.user.id, account_id)
    if account is None:
        raise NotFound("There is no such account.")
    return account


async def qr_picture(db: Database, token: str) -> Picture:
    """What the picture with this unguessable name shows now.

    Raises:
        NotFound: no pairing has this token.
    """
    async with db.connection() as connection:
        pairing = await pairings.by_token(connection, token)
    if pairing is None:
        raise NotFound("There is no such picture.")
    if pairing.state == "linked":
        return Picture(pairing.user_id, "linked", ())
    if pairing.ended_at is not None or pairing.current is None:
        return Picture(pairing.user_id, "expired", ())
    return Picture(pairing.user_id, "codes", pairing.codes)


def limit_of(phone: str | None) -> Limit:
    """The limit of how many linkings of this kind a user may begin within ten minutes."""
    return Limit.QR_PAIRINGS if phone is None else Limit.PHONE_PAIRINGS


async def start_or_join(
    connection: Connection, *, account_id: UUID, user_id: UUID, phone: str | None, allowed: int
) -> Pairing:
    """The account's running pairing, or a new one where none runs or the running one has had its time.

    A pairing by phone code replaces one that shows QR codes only, or asks another phone.

    Args:
        connection: in a transaction in which the user's row is locked.
        phone: digits of the phone on which a code is to be typed; None: by QR code.
        allowed: the user's `limit_of` that.

    Raises:
        TooMany: the user, or for this phone everybody, has begun too many lately.
    """
    running = await pairings.join(connection, account_id=account_id, phone=phone)
    if running is not None:
        return running
    wait = await pairings.until_room(connection, user_id, within=_WINDOW, at_most=allowed, by_phone=phone is not None)
    if wait is not None:
        raise _too_many("You have begun to link too often.", limit_of(phone), allowed, wait)
    if phone is not None:
        wait = await pairings.until_room_of_number(connection, phone, within=_DAY, at_most=_OF_A_NUMBER)
        if wait is not None:
            raise _too_many("This number was asked too often to be linked.", "pairings_of_number", _OF_A_NUMBER, wait)
    return await pairings.start(connection, account_id=account_id, user_id=user_id, phone=phone)


def _too_many(what: str, limit: str, allowed: int, wait: timedelta) -> TooMany:
    seconds = max(1, -(-wait // timedelta(seconds=1)))
    return TooMany(
        f"{what} Try again in {seconds} seconds.",
        retry_after=seconds,
        code=REACHED,
        extra={"limit": limit, "allowed": allowed},
    )


def _no_code(pairing: Pairing) -> Unavailable:
    if failure := pairing_failed(pairing.failure):
        return Unavailable(sentence(failure), code=failure.code, retry_after=30)
    return Unavailable("WhatsApp has not answered with a code yet. Ask again in a few seconds.", retry_after=2)


async def _settled(db: Database, pairing: Pairing, wait: float, ready: Callable[[Pairing], bool]) -> Pairing:
    deadline = time.monotonic() + wait
    while pairing.ended_at is None and not ready(pairing) and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
        async with db.connection() as connection:
            pairing = await pairings.get(connection, pairing.id)
    return pairing
