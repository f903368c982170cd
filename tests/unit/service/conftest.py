"""Somebody who is logged in and has a linked account, and what they send."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest
from tests.rows import Rows

from chatwren.domain.caller import Caller
from chatwren.domain.recipients import Recipient
from chatwren.media.objects import media_store
from chatwren.service import sessions
from chatwren.service.compose import NewMessage
from chatwren.service.computing import Computing
from chatwren.service.intake import Intake
from chatwren.service.limits import Limits
from chatwren.service.rewording import Rewording
from chatwren.service.sessions import Sessions
from chatwren.store.database import Database

SignIn = Callable[[str], Awaitable[Caller]]


@pytest.fixture
def sign_in(db: Database, rows: Rows) -> SignIn:
    """Gives somebody a linked account and a session."""

    async def signed_in(name: str) -> Caller:
        await rows.account(name)
        return await caller_of(db, rows.users[name])

    return signed_in


async def caller_of(db: Database, user_id: UUID) -> Caller:
    """The user, with a session that begins now."""
    async with db.transaction() as connection:
        sid = await sessions.start(connection, user_id, instead_of=None, at_most=50)
    caller = await Sessions(db).caller(sid)
    assert caller is not None
    return caller


def intake_of(db: Database, folder: Path) -> Intake:
    limits = Limits(db)
    computing = Computing(limits)
    return Intake(db, media_store(str(folder)), limits, computing, Rewording(db, limits, computing, None))


def hello(text: str = "hello") -> NewMessage:
    return NewMessage("msg", Recipient("phone", "4915200001"), text)
