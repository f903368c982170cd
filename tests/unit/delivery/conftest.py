"""A database with Alice's, Bob's and Charlie's accounts, and rows put into it as the API would."""

import asyncio
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from chatwren.domain.facts import Receipt
from chatwren.domain.ids import uuid7, whatsapp_message_id
from chatwren.domain.pacing import ColdCap, Pacing
from chatwren.settings import Settings
from chatwren.store.database import Database
from chatwren.store.fenced import leases, workers
from chatwren.store.fenced.messages import Claimed

NO_CAP = ColdCap(0, 0, 0)


def receipt_of(message: Claimed, *, read: bool = False, at: datetime | None = None) -> Receipt:
    """The word of whom a message went to."""
    chat = f"{message.recipient}@s.whatsapp.net"
    return Receipt(message.account, message.wa_id, chat, None, read, at or datetime.now(UTC))


@dataclass
class Rows:
    """Puts rows in, and reads them back."""

    db: Database
    users: dict[str, UUID] = field(default_factory=dict)
    phones: int = 0

    async def one(self, query: str, *values: Any) -> Any:
        async with self.db.connection() as connection:
            return await connection.fetchval(query, *values)

    async def user(self, name: str) -> UUID:
        if name not in self.users:
            self.users[name] = uuid7()
            await self.one(
                "INSERT INTO app_user (id, username, username_key, name, phone, email, password_hash)"
                " VALUES ($1, $2, $2, $2, '', '', '')",
                self.users[name],
                name,
            )
        return self.users[name]

    async def account(self, name: str = "alice", *, connected: bool = True) -> UUID:
        """A linked account of a user, with a number of its own, and without a pace or a cap of new contacts."""
        user, account = await self.user(name), uuid7()
        self.phones += 1
        phone = f"49151000{self.phones:04d}"
        await self.one(
            "INSERT INTO account (id, user_id, status, jid, phone, connected) VALUES ($1, $2, 'linked', $3, $4, $5)",
            account,
            user,
            f"{phone}:1@s.whatsapp.net",
            phone,
            connected,
        )
        await self.pace(account, Pacing(timedelta(), timedelta(), NO_CAP))
        return account

    async def pace(self, account: UUID, pacing: Pacing | None) -> None:
        """Give an account a pace of its own; None: the server's."""
        own = (pacing.gap, pacing.jitter, *astuple(pacing.cold)) if pacing else (None,) * 5
        await self.one(
            "UPDATE account SET pacing_gap = $2, pacing_jitter = $3, cold_first = $4, cold_growth = $5, cold_most = $6"
            " WHERE id = $1",
            account,
            *own,
        )

    async def worker(self) -> UUID:
        worker = uuid4()
        async with self.db.connection() as connection:
            await workers.register(connection, worker, "here")
        return worker

    async def own(self, worker: UUID, *, limit: int = 1000) -> int:
        """Give the worker what nobody owns, connected."""
        async with self.db.transaction() as connection:
            count = await leases.claim(connection, worker, limit=limit)
            await connection.execute(
                "UPDATE account SET connected = true WHERE id IN (SELECT account_id FROM lease WHERE worker_id = $1)",
                worker,
            )
        return count

    async def epoch(self, account: UUID) -> int:
        epoch: int = await self.one("SELECT epoch FROM lease WHERE account_id = $1", account)
        return epoch

    async def message(
        self,
        account: UUID,
        text: str = "hello",
        *,
        to: str = "4915200001",
        lane: str = "normal",
        due_in: float = -1,
    ) -> UUID:
        """A waiting message, due in so many seconds."""
        message = uuid7()
        await self.one(
            """
            INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, lane, due,
                                 wa_id)
            SELECT $1, user_id, id, 'msg', 'phone', $3, $4, $4, $5, now() + $6, $7 FROM account WHERE id = $2
            """,
            message,
            account,
            to,
            text,
            lane,
            timedelta(seconds=due_in),
            whatsapp_message_id(),
        )
        return message

    async def get(self, message: UUID) -> Any:
        async with self.db.connection() as connection:
            return await connection.fetchrow("SELECT * FROM message WHERE id = $1", message)

    async def status(self, message: UUID) -> str:
        return str((await self.get(message))["status"])


@pytest.fixture
def rows(db: Database) -> Rows:
    return Rows(db)


@pytest.fixture
def settings() -> Settings:
    return Settings(
        _env_file=None,
        pacing_gap_seconds=0,
        pacing_jitter_seconds=0,
        send_timeout_seconds=1,
        max_resends=2,
    )


async def until(condition: Callable[[], Any], *, seconds: float = 10) -> Any:
    """Wait for a condition, plain or awaitable; its value."""
    async with asyncio.timeout(seconds):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.01)
