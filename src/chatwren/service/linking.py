"""How often somebody may begin to link a number. To join a linking that runs is not to begin one.

A code that is typed on a phone makes WhatsApp prompt its owner, whoever asks for it: who may ask often is a nuisance to
strangers. A QR code troubles nobody but WhatsApp, so there is room for somebody who fiddles.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from chatwren.domain.errors import TooMany
from chatwren.domain.limits import REACHED, Limit
from chatwren.store import pairings
from chatwren.store.database import Connection
from chatwren.store.pairings import Pairing

_WINDOW: Final = timedelta(minutes=10)
_DAY: Final = timedelta(days=1)
_OF_A_NUMBER: Final = 10


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
        account_id: what to link.
        user_id: whose it is.
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
