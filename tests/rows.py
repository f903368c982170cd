"""Rows of Alice's, Bob's and Charlie's, put into a database as the API and a worker would."""

import asyncio
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from chatwren.domain.facts import Receipt
from chatwren.domain.ids import uuid7, whatsapp_message_id
from chatwren.domain.pacing import ColdCap, Pacing
from chatwren.store.database import Connection, Database
from chatwren.store.fenced import leases, workers
from chatwren.store.fenced.messages import Claimed
from tests.waiting import until

NO_CAP = ColdCap(0, 0, 0)


def receipt_of(message: Claimed, *, read: bool = False, at: datetime | None = None) -> Receipt:
    """The word of whom a message went to."""
    chat = f"{message.recipient}@s.whatsapp.net"
    return Receipt(message.account, message.wa_id, chat, None, read, at or datetime.now(UTC))


async def put_user(connection: Connection, name: str, *, password_hash: str = "") -> UUID:
    """Somebody who is called so, with a capital."""
    user = uuid7()
    await connection.execute(
        "INSERT INTO app_user (id, username, username_key, name, phone, email, password_hash)"
        " VALUES ($1, $2, $2, initcap($2), '+1234567890', $2 || '@example.com', $3)",
        user,
        name,
        password_hash,
    )
    return user


async def put_account(
    connection: Connection, user: UUID, phone: str, *, name: str = "", connected: bool = True
) -> UUID:
    """An account of a user, as if a worker had paired it."""
    account = uuid7()
    await connection.execute(
        "INSERT INTO account (id, user_id, status, jid, phone, name, connected)"
        " VALUES ($1, $2, 'linked', $3 || ':1@s.whatsapp.net', $3, nullif($4, ''), $5)",
        account,
        user,
        phone,
        name,
        connected,
    )
    return account


async def put_new_account(connection: Connection, user: UUID) -> UUID:
    """An account of a user that was never linked."""
    account = uuid7()
    await connection.execute("INSERT INTO account (id, user_id) VALUES ($1, $2)", account, user)
    return account


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
            async with self.db.connection() as connection:
                self.users[name] = await put_user(connection, name)
        return self.users[name]

    async def account(self, name: str = "alice", *, connected: bool = True) -> UUID:
        """A linked account of a user, with a number of its own, and without a pace or a cap of new contacts."""
        user = await self.user(name)
        self.phones += 1
        async with self.db.connection() as connection:
            account = await put_account(connection, user, f"49151000{self.phones:04d}", connected=connected)
        await self.pace(account, Pacing(timedelta(), timedelta(), NO_CAP))
        return account

    async def new_account(self, name: str = "alice") -> UUID:
        """An account of a user that was never linked."""
        user = await self.user(name)
        async with self.db.connection() as connection:
            return await put_new_account(connection, user)

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

    async def file(self, name: str = "alice", *, kind: str = "document", size: int = 5) -> UUID:
        """A file of a user that no message names yet. Its bytes are nowhere."""
        media: UUID = await self.one(
            "INSERT INTO media (id, user_id, kind, mimetype, file_name, size, sha256)"
            " VALUES (gen_random_uuid(), $1, $2, 'text/plain', 'a.txt', $3, '') RETURNING id",
            await self.user(name),
            kind,
            size,
        )
        return media

    async def get(self, message: UUID) -> Any:
        async with self.db.connection() as connection:
            return await connection.fetchrow("SELECT * FROM message WHERE id = $1", message)

    async def status(self, message: UUID) -> str:
        return str((await self.get(message))["status"])

    async def until_blocked(self, *working: asyncio.Task[Any]) -> None:
        """Wait until somebody waits for a lock; `working`: who is to do so."""

        async def blocked() -> bool:
            assert not any(one.done() for one in working)
            return bool(
                await self.one(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
            )

        await until(blocked, what="a wait for a lock")
