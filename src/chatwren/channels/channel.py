"""The contract between the worker and a way to WhatsApp. tests/conformance.py holds each channel to it.

A channel is a folder of this package. It may read and write rows (store, store.fenced) and files (media); of the worker
it knows what it is given. What concerns every channel (claims, outcomes, leases, storing what arrives) is delivery's.

No part of it:
- The pace, and the cap of new contacts. They stand on the account's row; a channel that needs none links its accounts
  with a pace of zero.
- Linking an account, where that is no more than a row.
"""

from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, ClassVar, Protocol
from uuid import UUID

from chatwren.channels.facts import Source, State
from chatwren.channels.results import Result
from chatwren.domain.errors import ChatwrenError
from chatwren.store.fenced.leases import Owned
from chatwren.store.fenced.messages import Claimed


class ChannelError(ChatwrenError):
    """The channel, WhatsApp or the database did not answer. The same may succeed later."""

    default_code: ClassVar[str] = "channel"
    permanent: ClassVar[bool] = False


class Channel(Protocol):
    """Brings messages to WhatsApp.

    Attributes:
        resend_is_safe: a message that is sent again under its id is shown once. Else one whose outcome is unknown does
            not go again: a late status settles it, or nothing does.
        address_age: how long WhatsApp's word of where a recipient's messages go is taken for good.
        upload_age: how long a file that was uploaded is sent again.
    """

    resend_is_safe: bool
    address_age: timedelta
    upload_age: timedelta

    async def send(self, message: Claimed) -> Result:
        """Try once, and translate WhatsApp's answer: its numbers mean nothing outside. An exception is `Unknown`."""


class Connections(Protocol):
    """The connections of a channel that has any, each held for an account that this worker owns."""

    def running(self, follow: Callable[[Source], Coroutine[Any, Any, None]]) -> AbstractAsyncContextManager[None]:
        """What holds the connections runs as long as the block. The first start is awaited.

        Args:
            follow: stores what happens; run anew with each start, and cancelled with its end.

        Raises:
            CannotStart: it does not.
        """

    async def serve(self, accounts: Collection[Owned]) -> None:
        """Do what is wanted of these accounts, in the background: connect, link, log out, ask for groups.

        Called with all that the worker owns, at each change and from time to time.
        """

    def is_busy(self, account: UUID) -> bool:
        """Whether something is being done for the account, so that it is not to be given up."""

    def let_go(self, account: Owned) -> Awaitable[None]:
        """Stop all that is done for an account, and disconnect it. It need not be waited for."""

    async def rest(self) -> None:
        """Break off what is being done for accounts. Their connections stay."""

    def lease_renewed(self) -> None:
        """The worker owns its accounts for longer."""

    async def renew_leases(self) -> None:
        """Tell whatever holds the connections of each renewal, until cancelled."""

    def state_stored(self, account: UUID, state: State) -> None:
        """A state of an account that came by `follow` is on disk."""

    async def log_out_orphans(self) -> None:
        """Log out what is linked and no account knows.

        Raises:
            ChannelError: not now.
        """

    def kill(self) -> None:
        """End the connections at once: this worker was taken for dead, and nothing that they still say counts."""
