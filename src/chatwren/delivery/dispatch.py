"""Takes messages whose time has come, one of each account at a time, and sends them."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from uuid import UUID

import structlog

from chatwren.channels.channel import Channel
from chatwren.channels.results import NotSent, NotSentReason, Result, Unknown
from chatwren.delivery.fence import Fence
from chatwren.delivery.outcomes import decide
from chatwren.delivery.recorder import Next, Recorder
from chatwren.domain.outcomes import Recorded
from chatwren.settings import Settings
from chatwren.store.database import UNREACHABLE, Database
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.messages import Claimed, Outcome, Terms

log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.5
_LOCKED_SECONDS = 0.01
"""After which an account is looked at again that a receipt was just being applied to, or a change of its user's."""
_PAUSE_SECONDS = 0.5
_BATCH = 200
_AT_ONCE = 1000
_GUARD_MARGIN_SECONDS = 10


class Dispatcher:
    """Sends what is due of this worker's accounts. `run` must be running.

    Args:
        fence: while it is closed nothing is claimed and nothing sent.
        settings: time-outs, re-sends.
        accounts: the accounts to look at; those that may not send now are passed over.
    """

    def __init__(
        self,
        db: Database,
        worker: UUID,
        *,
        fence: Fence,
        channel: Channel,
        settings: Settings,
        accounts: Callable[[], Collection[UUID]],
    ) -> None:
        self._db = db
        self._worker = worker
        self._fence = fence
        self._channel = channel
        self._accounts = accounts
        self._max_resends = settings.max_resends if channel.resend_is_safe else 0
        self._terms = Terms(
            guard=timedelta(seconds=settings.send_timeout_seconds + _GUARD_MARGIN_SECONDS),
            contact_age=channel.address_age,
            upload_age=channel.upload_age,
        )
        self._recorder = Recorder(db, worker, terms=self._terms, on_recorded=self.recorded, may_claim=self._may_go_on)
        self._sending: dict[UUID, asyncio.Task[None]] = {}  # by account
        self._claiming: set[UUID] = set()
        self._to_look_at: set[UUID] = set()
        self._next_poll = 0.0
        self._woken = asyncio.Event()
        self._stopping = False

    def look(self, accounts: Iterable[UUID]) -> None:
        """There may be something to send for these accounts now."""
        self._to_look_at.update(accounts)
        self._woken.set()

    def look_everywhere(self) -> None:
        """There may be something to send for any account now."""
        self._next_poll = 0.0
        self._woken.set()

    def recorded(self, recorded: Recorded) -> None:
        """An outcome is on disk: each account goes on after its pause."""
        loop = asyncio.get_running_loop()
        for account, pause in recorded.pauses.items():
            if pause > timedelta():
                loop.call_later(pause.total_seconds(), self.look, (account,))
            elif account not in self._sending:  # which are looked at when that is over
                self.look((account,))

    async def recording_over(self, accounts: Iterable[UUID]) -> None:
        """Return when the outcomes that are known by now of these accounts' messages are on disk."""
        await self._recorder.over(accounts)

    def is_busy(self, account: UUID) -> bool:
        """Whether a message of the account is under way, or about to be."""
        return account in self._sending or account in self._claiming

    def stop(self) -> None:
        """Claim nothing more; `run` returns when what is under way has its outcome on disk."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Send until `stop`. Cancelled, it leaves what is under way; that goes again under the same id."""
        try:
            while not self._stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, self._next_poll - time.monotonic())):
                        await self._woken.wait()
                self._woken.clear()
                if not self._stopping:
                    await self._claim_once()
            while self._sending:
                await asyncio.wait(self._sending.values())
        finally:
            left = list(self._sending.values())
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await self._recorder.end()

    async def _claim_once(self) -> None:
        self._claiming = self._take()
        try:
            await self._claim(self._claiming)
        except UNREACHABLE as error:
            log.warning("dispatch.database_unreachable", error=repr(error))
            await asyncio.sleep(_PAUSE_SECONDS)
        except Exception:
            log.exception("dispatch.claim_failed")
            await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            self._claiming = set()

    def _take(self) -> set[UUID]:
        """The accounts to look at now."""
        if not self._fence.open:
            self._next_poll = time.monotonic() + _POLL_SECONDS
            return set()
        mine = set(self._accounts())
        if time.monotonic() >= self._next_poll:
            self._next_poll = time.monotonic() + _POLL_SECONDS
            self._to_look_at = mine
        self._to_look_at &= mine
        # One that is sending is looked at again when its outcome is on disk.
        free = self._to_look_at - self._sending.keys()
        now = set(list(free)[: max(0, min(_BATCH, _AT_ONCE - len(self._sending)))])
        self._to_look_at -= now
        if free - now and len(self._sending) < _AT_ONCE:
            self._woken.set()
        return now

    def _may_go_on(self, accounts: Collection[UUID]) -> Collection[UUID]:
        """Of these accounts, of which outcomes are about to be recorded, those that may send on."""
        if self._stopping or not self._fence.open:
            return ()
        going = set(self._accounts()).intersection(accounts)
        self._to_look_at -= going
        return going

    async def _claim(self, accounts: set[UUID]) -> None:
        if not accounts:
            return
        async with self._db.connection() as connection:
            claim = await fenced_messages.claim(connection, self._worker, accounts, self._terms)
        for message in claim.taken:
            self._sending[message.account] = asyncio.create_task(self._send_on(message))
        if claim.passed_over:
            asyncio.get_running_loop().call_later(_LOCKED_SECONDS, self.look, claim.passed_over)

    async def _send_on(self, first: Claimed) -> None:
        """Send a message, and what goes next of its account for as long as that is claimed with the outcome before."""
        following = Next(first)
        try:
            while following.message is not None:
                following = await self._send(following.message)
        finally:
            del self._sending[first.account]
            if first.account in self._to_look_at or not following.idle:
                self.look((first.account,))

    async def _send(self, message: Claimed) -> Next:
        result = await self._try(message)
        decision = decide(
            result,
            attempts=message.attempts,
            unconfirmed=message.unconfirmed,
            max_resends=self._max_resends,
        )
        if decision.failure is not None or decision.account_pause is not None or decision.recipient_pause:
            log.info("dispatch.not_sent", message=str(message.id), account=str(message.account), result=repr(result))
        return await self._recorder.record(
            Outcome(message.id, message.account, message.epoch, decision, first=message.first)
        )

    async def _try(self, message: Claimed) -> Result:
        if not self._fence.open:
            return NotSent(NotSentReason.FENCED)
        if message.resend and not self._channel.resend_is_safe:
            return Unknown("an attempt before has no outcome")
        try:
            return await self._channel.send(message)
        except Exception as error:
            log.exception("dispatch.sender_failed", message=str(message.id))
            return Unknown(repr(error))
