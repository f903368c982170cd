"""What is done for one account at a time: connect it, log it out, ask for its groups. Pairing: pairing.py."""

from datetime import datetime
from uuid import UUID

import structlog

from chatwren.channels.engine.client import Engine, NoDevice
from chatwren.store.database import Database
from chatwren.store.fenced import accounts as fenced_accounts
from chatwren.store.fenced import pairings as fenced_pairings
from chatwren.store.fenced.leases import Owned

log = structlog.get_logger(__name__)


async def connect(db: Database, engine: Engine, worker: UUID, account: Owned, *, valid_for: float) -> bool:
    """Have the engine connect a linked account. False: its device is gone, so that it has to be linked again."""
    try:
        await engine.open(account.account, account.jid or "", account.epoch, valid_for=valid_for)
    except NoDevice:
        log.warning("account.device_gone", account=str(account.account))
        async with db.connection() as connection:
            await fenced_accounts.unlinked(connection, worker, account.account, "logged_out", "device_gone")
        return False
    return True


async def log_out(db: Database, engine: Engine, worker: UUID, account: Owned) -> None:
    """Unlink an account's device, as its user asked."""
    try:
        told = await engine.logout(account.account, account.jid or "", account.epoch)
    except NoDevice:
        told = False
    log.info("account.logged_out", account=str(account.account), told_whatsapp=told)
    async with db.connection() as connection:
        reason = "by_user" if told else "not_told"
        await fenced_accounts.unlinked(connection, worker, account.account, "logged_out", reason)


async def end_device(db: Database, engine: Engine, worker: UUID, account: UUID, jid: str, *, epoch: int) -> None:
    """Unlink a device that a pairing confirmed and did not link the account to: the phone may list it all the same.

    One without keys counts as told: it was not saved, so that the phone lists none. Or an earlier try forgot them and
    ended before that was recorded here; if WhatsApp was out of reach then, the phone lists a device of which its user
    is not told.
    """
    try:
        told = await engine.logout(account, jid, epoch)
    except NoDevice:
        told = True
    log.info("pairing.device_ended", account=str(account), told_whatsapp=told)
    async with db.connection() as connection:
        await fenced_pairings.end_device(connection, worker, account, jid, told=told)


async def fetch_groups(db: Database, engine: Engine, worker: UUID, account: Owned, asked_for: datetime) -> None:
    """Store the groups that the account is in. `asked_for`: the wish that this answers."""
    groups = await engine.groups(account.account, account.epoch)
    listed = [
        {
            "id": group.jid,
            "name": group.name,
            "participants": [f"+{phone}" for phone in group.phones],
            "size": group.size,
        }
        for group in groups
    ]
    async with db.connection() as connection:
        await fenced_accounts.store_groups(connection, worker, account.account, listed, asked_for)


async def log_out_orphans(db: Database, engine: Engine) -> None:
    """Log out devices that no account knows: what a crash in the middle of a pairing, or a deleted user, left."""
    async with db.transaction() as connection:
        known = await fenced_pairings.known_devices(connection)
        for jid in await engine.logout_orphans(known):
            log.warning("worker.orphan_logged_out", jid=jid)
