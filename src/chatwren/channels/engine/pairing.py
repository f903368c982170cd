"""Runs the pairings that users asked for: codes into the row, and the new device into the account.

A device that was confirmed and did not become the account's stays named by its pairing until it is logged out, whatever
ends in between.
"""

import asyncio
from uuid import UUID

import structlog

from chatwren.channels.engine import jobs
from chatwren.channels.engine.client import Engine, EngineError, Pairing
from chatwren.channels.engine.model import Codes, Confirm, PairEvent, PairingFailed, PasskeyWanted, Success, TypedCode
from chatwren.store.database import Database
from chatwren.store.fenced import pairings as fenced_pairings
from chatwren.store.fenced.pairings import Job

log = structlog.get_logger(__name__)

_AT_MOST_SECONDS = 300


async def pair(db: Database, engine: Engine, worker: UUID, epoch: int, pairing: UUID) -> bool:
    """Run a pairing to its end; one that an earlier worker began starts over with new codes.

    Returns:
        Whether the account is linked now, and open at the engine under `epoch` for some seconds.

    Raises:
        EngineError: the engine is gone; the pairing goes on when it is back.
    """
    async with db.connection() as connection:
        job = await fenced_pairings.get(connection, pairing)
    if job is None:
        return False
    if job.jid is not None:
        await jobs.end_device(db, engine, worker, job.account, job.jid, epoch=epoch)
    async with db.connection() as connection:
        if job.linked:
            await fenced_pairings.end_linked(connection, pairing)
            return False
        if job.overdue:
            await fenced_pairings.fail(connection, pairing, "timeout")
            return False
        await fenced_pairings.start_over(connection, pairing)
    run = _Run(db, worker, job)
    async with asyncio.timeout(_AT_MOST_SECONDS), engine.pair(job.account, epoch, job.phone) as steps:
        async for step in steps:
            if await run.follow(step, steps):
                return run.linked
    raise EngineError("the pairing ended without a word")


class _Run:
    """One run of a pairing.

    Attributes:
        linked: it has succeeded.
    """

    def __init__(self, db: Database, worker: UUID, job: Job) -> None:
        self._db = db
        self._worker = worker
        self._job = job
        self._refused: str | None = None
        self.linked = False

    async def follow(self, step: PairEvent, pairing: Pairing) -> bool:
        """Take a step. True: it was the last."""
        match step:
            case Codes():
                async with self._db.connection() as connection:
                    goes_on = await fenced_pairings.show_codes(connection, self._job.id, step.codes)
            case TypedCode():
                async with self._db.connection() as connection:
                    goes_on = await fenced_pairings.show_phone_code(connection, self._job.id, step.text, step.valid_for)
            case Confirm():
                await self._confirm(step.jid, pairing)
                goes_on = True
            case Success():
                await self._succeed(step)
                goes_on = False
            case PairingFailed():
                log.info("pairing.failed", account=str(self._job.account), code=step.code, detail=step.detail)
                await self._fail(self._refused or step.code)
                goes_on = False
            case PasskeyWanted():
                await self._fail("passkey_required")
                goes_on = False
        return not goes_on

    async def _confirm(self, jid: str, pairing: Pairing) -> None:
        async with self._db.transaction() as connection:
            self._refused = await fenced_pairings.confirm(connection, self._worker, self._job.id, jid, phone_of(jid))
        await pairing.confirm(accept=self._refused is None)

    async def _succeed(self, success: Success) -> None:
        async with self._db.transaction() as connection:
            refused = await fenced_pairings.succeed(
                connection,
                self._worker,
                self._job.id,
                jid=success.jid,
                lid=success.lid,
                phone=phone_of(success.jid),
            )
        self.linked = refused is None
        if refused is not None:
            await self._fail(refused)

    async def _fail(self, code: str) -> None:
        async with self._db.connection() as connection:
            await fenced_pairings.fail(connection, self._job.id, code)


def phone_of(jid: str) -> str:
    """The digits of the number in a device's JID, such as 4915112345678:7@s.whatsapp.net."""
    return jid.partition("@")[0].partition(":")[0].partition(".")[0]
