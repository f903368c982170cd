"""The connection pool, transactions, and hints between processes."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from enum import StrEnum
from functools import partial
from typing import Any, Self, TypeVar
from uuid import UUID

import asyncpg
import structlog

from chatwren.domain.pacing import USUAL, Pacing
from chatwren.store.pacing import tell

log = structlog.get_logger(__name__)

T = TypeVar("T")

UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.InterfaceError,
    asyncpg.exceptions.InternalClientError,  # of a session that the server ended while nothing was asked of it
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,  # its disk is full, or this is the server that was the first one
)
"""What asyncpg raises while the database is away, or takes no writes. The work may be repeated when it is back."""

CLASHES = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""What asyncpg raises when two transactions stood in each other's way, and this one was ended. It may be repeated."""

_WAIT_SECONDS = 30.0  # for a connection of the pool
_RELEASE_SECONDS = 5.0
"""How long a statement that was given up has to end, before its connection does: a silent server never says."""
_UNSURE_SECONDS = 5.0
_UNSURE_PAUSE_SECONDS = 0.1
_IDLE_SECONDS = 10.0
"""How long a connection is kept that nobody uses: less than firewalls remember it, which is 4 minutes and more. While
there is nothing to do a worker needs a second one about every 20 s, when two of its loops ask at once."""
_PLANS_SECONDS = 5.0
"""How long a connection keeps what it has planned. A plan is made for tables as large as they are at that moment, and
PostgreSQL looks at it again only when somebody takes their statistics, which autovacuum does a minute later or more."""
_LISTENING_SECONDS = 30.0
"""How often a connection that only listens is asked something: where its way is cut in silence, as by a firewall that
has forgotten it, nothing else would tell."""
_ANSWER_SECONDS = 10.0
_HINT_SECONDS = 0.1
_HINT_BYTES = 7500  # a NOTIFY payload ends at 8000


class Topic(StrEnum):
    """What a hint is about. It names accounts whose worker has something to do (WORK), or users whose data changed."""

    WORK = "work"
    MESSAGES = "messages"
    ACCOUNT = "account"
    BULK = "bulk"
    INBOX = "inbox"


OF_USERS = frozenset(Topic) - {Topic.WORK}
"""The topics whose ids are users'."""
_CHANNEL = "chatwren_"


class _Planner(asyncpg.Connection):
    """asyncpg's connection, which knows how old its plans may be."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._plans_from = time.monotonic()

    async def forget_old_plans(self) -> None:
        """See to it that the next statements are planned for the tables as they are now."""
        if time.monotonic() - self._plans_from > _PLANS_SECONDS:
            await self.execute("DISCARD PLANS")
            self._plans_from = time.monotonic()


class Connection:
    """What the functions of store/ take: asyncpg's connection, in a transaction where they write more than one row.

    Attributes:
        news: what other processes are told when the connection is given back, so after the commit. Of a transaction
            that fails they are told as well: who hears of something looks.
    """

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        self._connection = connection
        self.news: dict[Topic, set[UUID]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def tell(self, topic: Topic, ids: Iterable[UUID]) -> None:
        """Tell of what a statement has changed."""
        self.news.setdefault(topic, set()).update(ids)

    async def change(self, topic: Topic, statement: str, *values: object) -> bool:
        """Run a statement that returns whom it concerns, and tell of them. Whether there were any."""
        rows = await self.fetch(statement, *values)
        self.tell(topic, (row[0] for row in rows))
        return bool(rows)


class Database:
    """A pool of connections to one database. Made by `Database.connect`.

    The one that was used last stays at hand: what the pool does to give and take one costs as much as a short question.
    """

    def __init__(self, pool: asyncpg.Pool, dsn: str, application_name: str) -> None:
        self._pool = pool
        self._dsn = dsn
        self._application_name = application_name
        self._hints: dict[Topic, set[UUID]] = {topic: set() for topic in Topic}
        self._hint_task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._at_hand: asyncpg.pool.PoolConnectionProxy | None = None
        self._wanting = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls, dsn: str, *, application_name: str = "chatwren", size: int = 10, pacing: Pacing = USUAL
    ) -> AsyncIterator[Self]:
        """Open the pool.

        Args:
            dsn: libpq URL.
            application_name: how this process is named in pg_stat_activity.
            size: most connections held.
            pacing: of accounts that have none of their own.

        Raises:
            any of UNREACHABLE: the database cannot be reached.
        """
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            init=partial(_prepare, pacing=pacing),
            reset=_no_reset,
            connection_class=_Planner,
            server_settings={"application_name": application_name, "timezone": "UTC", "jit": "off"},
            timeout=10,
            command_timeout=60,
            max_inactive_connection_lifetime=_IDLE_SECONDS,
        )
        database = cls(pool, dsn, application_name)
        try:
            yield database
        finally:
            await database._close()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection without a transaction: for one statement, or for reading."""
        acquired = await self._take()
        connection = Connection(acquired)
        is_well = False
        try:
            await acquired.forget_old_plans()
            yield connection
            is_well = True
        except asyncpg.ReadOnlySQLTransactionError:
            # A session stays read-only when its server is not any more, and when another server takes the writes now.
            await self._pool.expire_connections()
            await self._put_away()
            raise
        finally:
            self._hint(connection.news)
            if is_well and self._at_hand is None and not (self._wanting or self._closing.is_set()):
                self._at_hand = acquired
            else:
                await self._pool.release(acquired, timeout=_RELEASE_SECONDS)

    async def _take(self) -> asyncpg.pool.PoolConnectionProxy:
        """The connection that is at hand, else one of the pool."""
        at_hand, self._at_hand = self._at_hand, None
        if at_hand is not None:
            # Raised where its session has ended, and the pool has it back.
            with contextlib.suppress(asyncpg.exceptions.InterfaceError):
                if not at_hand.is_closed():
                    return at_hand
            await self._pool.release(at_hand)
        self._wanting += 1
        try:
            async with asyncio.timeout(_WAIT_SECONDS):  # the pool's own time limit makes a task of each wait
                acquired: asyncpg.pool.PoolConnectionProxy = await self._pool.acquire()
        finally:
            self._wanting -= 1
        return acquired

    async def _put_away(self) -> None:
        """Give the pool what is at hand."""
        at_hand, self._at_hand = self._at_hand, None
        if at_hand is not None:
            await self._pool.release(at_hand, timeout=_RELEASE_SECONDS)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction that is committed, durably, when the block ends without an exception."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def until_answered(self, work: Callable[[Connection], Awaitable[T]], *, asked: bool = False) -> T:
        """Do what may be done twice; once it is asked for, again for 5 s while the database does not answer.

        Of a commit perhaps only the answer was lost.

        Args:
            work: what to do with a connection.
            asked: the database may have been asked for something before that this depends on.

        Raises:
            any of UNREACHABLE: there is no answer; where nothing was asked, at once.
        """
        until = time.monotonic() + _UNSURE_SECONDS if asked else None
        while True:
            try:
                async with self.connection() as connection:
                    until = until or time.monotonic() + _UNSURE_SECONDS
                    return await work(connection)
            except UNREACHABLE:
                if until is None or time.monotonic() > until:
                    raise
            await asyncio.sleep(_UNSURE_PAUSE_SECONDS)

    async def ping(self) -> None:
        """Return when the database has answered that it takes writes.

        Raises:
            any of UNREACHABLE: it has not.
        """
        async with self.connection() as connection:
            if await connection.fetchval("SHOW transaction_read_only") == "on":
                raise asyncpg.ReadOnlySQLTransactionError("the database takes no writes")

    def _hint(self, news: dict[Topic, set[UUID]]) -> None:
        """Tell other processes of this news, soon and at most once per 100 ms."""
        for topic, ids in news.items():
            self._hints[topic] |= ids
        if any(self._hints.values()) and (self._hint_task is None or self._hint_task.done()):
            self._hint_task = asyncio.create_task(self._send_hints())

    async def _send_hints(self) -> None:
        while any(self._hints.values()):
            payloads = {
                _CHANNEL + topic: " ".join(waiting.pop().hex for _ in range(min(len(waiting), _HINT_BYTES // 34)))
                for topic, waiting in self._hints.items()
                if waiting
            }
            # In one statement: each transaction that notifies waits for the disk, and for others that notify.
            with contextlib.suppress(*UNREACHABLE):
                async with self.connection() as connection:
                    await connection.execute(
                        "SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) h (channel, payload)",
                        list(payloads),
                        list(payloads.values()),
                    )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HINT_SECONDS):
                    await self._closing.wait()

    async def listen(
        self, topics: Collection[Topic], on_hint: Callable[[Topic, set[UUID]], None], *, on_gap: Callable[[], None]
    ) -> None:
        """Call `on_hint` with the topic and the ids of each hint on these topics, until cancelled.

        `on_gap` is called after every (re)connection: hints may have been missed, so everything must be looked at. Any
        hint may be lost: whoever listens also polls.
        """

        def hear(_connection: Any, _pid: int, channel: str, payload: str) -> None:
            on_hint(Topic(channel.removeprefix(_CHANNEL)), {UUID(hex=one) for one in payload.split()})

        while True:
            closed = asyncio.Event()
            connection = None
            try:
                connection = await asyncpg.connect(
                    self._dsn, timeout=10, server_settings={"application_name": f"{self._application_name} listen"}
                )
                connection.add_termination_listener(lambda _, closed=closed: closed.set())
                for topic in topics:
                    await connection.add_listener(_CHANNEL + topic, hear)
                on_gap()
                while not await _happens(closed, within=_LISTENING_SECONDS):
                    await connection.execute("SELECT", timeout=_ANSWER_SECONDS)
                log.warning("database.listen_lost", topics=sorted(topics))
            except UNREACHABLE as error:
                log.warning("database.unreachable", topics=sorted(topics), error=str(error))
            finally:
                if connection is not None:
                    connection.terminate()
            await asyncio.sleep(1)

    async def _close(self) -> None:
        self._closing.set()
        await self._put_away()
        if self._hint_task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hint_task, 2)
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()


async def _happens(event: asyncio.Event, *, within: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), within)
    return event.is_set()


async def _prepare(connection: asyncpg.Connection, *, pacing: Pacing) -> None:
    await tell(connection, pacing)
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads, format="text")


async def _no_reset(_connection: Any) -> None:
    """Nothing here leaves session state behind, so giving a connection back costs no round trip."""
