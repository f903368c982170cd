"""Who owns what: claims, fair shares, takeover, and who may take whom for dead."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from chatwren.delivery.fence import Fence, uptime
from chatwren.delivery.heartbeat import Heartbeat, TakenForDead
from chatwren.machine.throwaway import fresh_database
from chatwren.settings import Settings
from chatwren.store import accounts
from chatwren.store.database import UNREACHABLE, Database, Topic
from chatwren.store.fenced import accounts as fenced_accounts
from chatwren.store.fenced import leases, workers
from tests.cable import cable
from tests.conftest import Postgres
from tests.rows import Rows
from tests.unit.delivery.test_claim import claim
from tests.waiting import until

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=6)


async def take_share(db: Database, worker: UUID) -> int:
    """What a worker's look does: claim up to its fair share. How many it owns then."""
    async with db.transaction() as connection:
        share = await leases.share(connection, worker, lease=LEASE)
        await leases.claim(connection, worker, limit=max(0, share.fair - share.mine))
    return await owned(db, worker)


async def owned(db: Database, worker: UUID) -> int:
    async with db.connection() as connection:
        return len(await leases.owned(connection, worker))


async def reap(db: Database, worker: UUID) -> frozenset[UUID]:
    async with db.connection() as connection:
        return (await workers.reap(connection, worker, lease=LEASE)).workers


async def fell_silent(rows: Rows, worker: UUID) -> None:
    await rows.one("UPDATE worker SET heartbeat_at = now() - interval '7 s' WHERE id = $1", worker)


async def is_steady(rows: Rows, worker: UUID) -> None:
    await rows.one("UPDATE worker SET healthy_since = now() - interval '7 s' WHERE id = $1", worker)


async def test_accounts_are_spread_evenly(db: Database, rows: Rows) -> None:
    for _ in range(10):
        await rows.account()
    first = await rows.worker()
    assert await take_share(db, first) == 10
    second, third = await rows.worker(), await rows.worker()
    async with db.connection() as connection:
        share = await leases.share(connection, first, lease=LEASE)
    assert (share.fair, share.mine, share.unowned) == (4, 10, 0)
    async with db.connection() as connection:
        for one in (await leases.owned(connection, first))[:6]:
            await leases.release(connection, first, one.account, one.epoch)
    assert await take_share(db, second) == 4
    assert await take_share(db, third) == 2
    assert await take_share(db, first) == 4


async def test_two_that_claim_at_once_share_without_overlap(db: Database, rows: Rows) -> None:
    for _ in range(20):
        await rows.account()
    both = [await rows.worker(), await rows.worker()]
    await asyncio.gather(*(take_share(db, worker) for worker in both))
    await asyncio.gather(*(take_share(db, worker) for worker in both))  # what both had reached for
    assert [await owned(db, worker) for worker in both] == [10, 10]
    assert await rows.one("SELECT count(*) FROM lease WHERE epoch = 1 AND worker_id IS NOT NULL") == 20


async def test_only_what_there_is_something_to_do_for_is_claimed(db: Database, rows: Rows) -> None:
    await rows.account("alice")
    gone = await rows.account("bob")
    pairing = await rows.account("charlie")
    await rows.one("UPDATE account SET status = 'logged_out' WHERE id = ANY($1)", [gone, pairing])
    await rows.one(
        "INSERT INTO pairing (id, account_id, user_id, token, expires_at)"
        " SELECT gen_random_uuid(), id, user_id, 't', now() + interval '1 min' FROM account WHERE id = $1",
        pairing,
    )
    worker = await rows.worker()
    assert await take_share(db, worker) == 2
    async with db.connection() as connection:
        assert gone not in {one.account for one in await leases.owned(connection, worker)}


async def test_a_takeover_raises_the_epoch_and_sends_again_what_was_in_flight(db: Database, rows: Rows) -> None:
    account, dead = await rows.account(), await rows.worker()
    await rows.own(dead)
    message = await rows.message(account)
    (before,) = await claim(db, dead, account)
    await fell_silent(rows, dead)
    heir = await rows.worker()
    await is_steady(rows, heir)
    assert await reap(db, heir) == {dead}
    assert await take_share(db, heir) == 1
    assert await rows.epoch(account) == before.epoch + 1
    assert await rows.one("SELECT NOT connected AND next_at <= now() FROM account")
    await rows.one("UPDATE account SET connected = true")
    (again,) = await claim(db, heir, account)
    assert (again.id, again.wa_id, again.unconfirmed) == (message, before.wa_id, 1)
    assert await claim(db, dead, account) == []


@pytest.mark.parametrize(
    "lock",
    ["SELECT FROM worker FOR KEY SHARE", "UPDATE lease SET epoch = epoch + 1", "UPDATE account SET next_at = now()"],
)
async def test_a_transaction_in_which_a_worker_froze_holds_nobody_up(
    database_url: str, db: Database, rows: Rows, lock: str
) -> None:
    account, dead, heir = await rows.account(), await rows.worker(), await rows.worker()
    await rows.own(dead)
    await is_steady(rows, heir)
    async with (
        Database.connect(database_url, application_name=f"{workers.WORKER}{dead} beat") as far,
        far.connection() as frozen,
    ):
        await frozen.execute("BEGIN")
        await frozen.execute(lock)
        await fell_silent(rows, dead)
        async with db.connection() as connection:
            await workers.end_sessions_of_the_late(connection, lease=LEASE)
        assert await reap(db, heir) == {dead}
        assert await take_share(db, heir) == 1
        with pytest.raises(UNREACHABLE):
            await frozen.execute("COMMIT")
    assert await rows.one("SELECT worker_id = $1 FROM lease WHERE account_id = $2", heir, account)


@pytest.mark.parametrize("locked", ["worker", "account"])
async def test_what_is_locked_is_not_waited_for_by_who_reaps(db: Database, rows: Rows, locked: str) -> None:
    """By what a dead worker left behind, or by another who reaps: whoever beats next finds it again."""
    account, held, other, heir = await rows.account(), await rows.worker(), await rows.worker(), await rows.worker()
    await rows.own(held)
    await is_steady(rows, heir)
    for one in (held, other):
        await fell_silent(rows, one)
    row = held if locked == "worker" else account
    async with db.transaction() as connection:
        await connection.execute(f"SELECT FROM {locked} WHERE id = $1 FOR UPDATE", row)
        async with asyncio.timeout(5):
            assert await reap(db, heir) == ({other} if locked == "worker" else {held, other})
    assert await reap(db, heir) == ({held} if locked == "worker" else set())


@pytest.mark.parametrize(("silent", "dead"), [("5.5 s", False), ("6.1 s", True)])
async def test_a_worker_is_dead_when_its_lease_is_over_and_not_before(
    db: Database, rows: Rows, silent: str, *, dead: bool
) -> None:
    other, heir = await rows.worker(), await rows.worker()
    await is_steady(rows, heir)
    await rows.one(f"UPDATE worker SET heartbeat_at = now() - interval '{silent}' WHERE id = $1", other)
    assert await reap(db, heir) == ({other} if dead else set())


async def test_one_that_is_late_itself_judges_nobody(db: Database, rows: Rows) -> None:
    other, late = await rows.worker(), await rows.worker()
    await is_steady(rows, late)
    for one in (other, late):
        await fell_silent(rows, one)
    assert await reap(db, late) == set()


@pytest.mark.parametrize(
    ("since_beat", "healthy_for", "steady"),
    [("3.5 s", "6.1 s", True), ("3.5 s", "5.5 s", False), ("4 s", "60 s", False)],
    ids=["steady", "too new", "after a gap"],
)
async def test_steady_is_who_has_renewed_for_a_lease_without_a_gap(
    db: Database, rows: Rows, since_beat: str, healthy_for: str, *, steady: bool
) -> None:
    worker = await rows.worker()
    await rows.one(
        f"UPDATE worker SET heartbeat_at = now() - interval '{since_beat}',"
        f" healthy_since = now() - interval '{healthy_for}'"
    )
    async with db.connection() as connection:
        renewal = await workers.renew(connection, worker, lease=LEASE, gap=timedelta(seconds=3.6))
    assert renewal is not None
    assert renewal.steady == steady
    assert renewal.next_end is None  # nobody else's


async def test_a_renewal_knows_when_the_next_lease_of_another_ends(db: Database, rows: Rows) -> None:
    worker, soon, later = [await rows.worker() for _ in range(3)]
    for one, age in ((worker, 5), (soon, 2), (later, 1)):
        await rows.one("UPDATE worker SET heartbeat_at = now() - $2 * interval '1 s' WHERE id = $1", one, age)

    async def next_end() -> timedelta | None:
        async with db.connection() as connection:
            renewal = await workers.renew(connection, worker, lease=LEASE, gap=LEASE)
        assert renewal is not None
        return renewal.next_end

    assert timedelta(seconds=3) < (await next_end() or LEASE) <= timedelta(seconds=4)
    await fell_silent(rows, later)  # and nobody has removed it yet
    assert timedelta(seconds=-2) < (await next_end() or LEASE) <= timedelta(seconds=-1)


async def test_a_silent_worker_counts_for_nothing_in_the_shares(db: Database, rows: Rows) -> None:
    for _ in range(3):
        await rows.account()
    silent, other = await rows.worker(), await rows.worker()
    async with db.connection() as connection:
        assert (await leases.share(connection, other, lease=LEASE)).fair == 2
        await fell_silent(rows, silent)
        assert (await leases.share(connection, other, lease=LEASE)).fair == 3


async def test_a_pairing_that_has_ended_is_nothing_to_own_an_account_for(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    await rows.one("UPDATE account SET status = 'logged_out'")
    await rows.one(
        "INSERT INTO pairing (id, account_id, user_id, token, expires_at, state, failure, ended_at)"
        " SELECT gen_random_uuid(), id, user_id, 't', now(), 'failed', 'timeout', now() FROM account"
    )
    async with db.connection() as connection:
        (mine,) = await leases.owned(connection, worker)
        assert (mine.wanted, mine.pairing) == (False, None)
        await leases.release(connection, worker, account, mine.epoch)
        assert (await leases.share(connection, worker, lease=LEASE)).unowned == 0
    assert await take_share(db, worker) == 0


async def test_a_takeover_keeps_the_pause_unless_something_was_in_flight(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.one("UPDATE account SET connected = true, next_at = now() + interval '1 min'")
    async with db.transaction() as connection:
        assert await leases.claim(connection, worker, limit=1) == 1
    assert await rows.one("SELECT next_at > now() + interval '50 s' AND NOT connected FROM account")
    await rows.one("UPDATE account SET in_flight = $1", await rows.message(account))
    await rows.one("UPDATE lease SET worker_id = NULL")
    async with db.transaction() as connection:
        await leases.claim(connection, worker, limit=1)
    assert await rows.one("SELECT next_at <= now() FROM account")


async def test_an_account_is_given_up_by_its_owner_under_its_epoch_alone(db: Database, rows: Rows) -> None:
    account, worker, other = await rows.account(), await rows.worker(), await rows.worker()
    await rows.own(worker)
    async with db.connection() as connection:
        for who, epoch, left in ((other, 1, 1), (worker, 2, 1), (worker, 1, 0)):
            await leases.release(connection, who, account, epoch)
            assert len(await leases.owned(connection, worker)) == left


async def test_groups_are_wanted_until_a_list_is_stored_that_was_asked_for_since(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)

    async def wanted() -> datetime | None:
        async with db.connection() as connection:
            (mine,) = await leases.owned(connection, worker)
        return mine.groups_wanted_at

    assert await wanted() is None
    async with db.connection() as connection:
        first = await accounts.want_groups(connection, account)
        assert await wanted() == first
        await fenced_accounts.store_groups(connection, worker, account, [], first)
        assert await wanted() is None
        second = await accounts.want_groups(connection, account)
        assert await wanted() == second
        # A wish made while WhatsApp was being asked for another is not answered by that.
        await fenced_accounts.store_groups(connection, worker, account, [], first)
        assert await wanted() == second


async def test_the_sessions_of_the_living_are_left(database_url: str, db: Database, rows: Rows) -> None:
    living, late = await rows.worker(), await rows.worker()
    await fell_silent(rows, late)
    async with (
        Database.connect(database_url, application_name=f"{workers.WORKER}{living}") as near,
        Database.connect(database_url, application_name=f"{workers.WORKER}{late}") as far,
        near.connection() as kept,
        far.connection() as ended,
    ):
        async with db.connection() as connection:
            await workers.end_sessions_of_the_late(connection, lease=LEASE)
        assert await kept.fetchval("SELECT 1") == 1
        with pytest.raises(UNREACHABLE):
            await ended.fetchval("SELECT 1")


@contextlib.asynccontextmanager
async def stopped_sessions(url: str, name: str, count: int) -> AsyncIterator[list[int]]:
    """Process ids of sessions of PostgreSQL that hear nothing, until they go on."""
    sessions = [await asyncpg.connect(url, server_settings={"application_name": name}) for _ in range(count)]
    pids = [await one.fetchval("SELECT pg_backend_pid()") for one in sessions]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield pids
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        for one in sessions:
            one.terminate()


async def test_sessions_that_do_not_end_are_waited_for_together(database_url: str, db: Database, rows: Rows) -> None:
    late = await rows.worker()
    await fell_silent(rows, late)
    async with stopped_sessions(database_url, f"{workers.WORKER}{late}", 6), db.connection() as connection:
        async with asyncio.timeout(5):  # a second each would be too much
            await workers.end_sessions_of_the_late(connection, lease=LEASE)


async def test_a_session_that_ends_slowly_has_ended(database_url: str, db: Database, rows: Rows) -> None:
    late = await rows.worker()
    await fell_silent(rows, late)
    async with stopped_sessions(database_url, f"{workers.WORKER}{late}", 1) as (pid,), db.connection() as connection:
        ending = asyncio.create_task(workers.end_sessions_of_the_late(connection, lease=LEASE))
        assert await asyncio.wait([ending], timeout=0.1) == (set(), {ending})
        os.kill(pid, signal.SIGCONT)
        await ending
        assert await rows.one("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid) == 0


async def test_the_sessions_of_another_database_of_the_server_are_left(
    postgres: Postgres, db: Database, rows: Rows
) -> None:
    name = f"{workers.ENGINE}{UUID(int=8)}"
    async with fresh_database(postgres.url) as url, Database.connect(url, application_name=name):
        async with db.connection() as connection:
            assert await workers.end_sessions_of_the_gone(connection) == 0
        assert await rows.one("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", name) == 1


async def test_nobody_judges_before_being_steady_for_a_lease(db: Database, rows: Rows) -> None:
    silent, newcomer = await rows.worker(), await rows.worker()
    await fell_silent(rows, silent)
    assert await reap(db, newcomer) == set()
    await is_steady(rows, newcomer)
    assert await reap(db, newcomer) == {silent}


async def test_after_a_pause_of_the_database_everyone_is_late_and_nobody_dead(db: Database, rows: Rows) -> None:
    both = [await rows.worker(), await rows.worker()]
    for worker in both:
        await is_steady(rows, worker)
        await fell_silent(rows, worker)
    async with db.connection() as connection:
        renewal = await workers.renew(connection, both[0], lease=LEASE, gap=timedelta(seconds=3.6))
    assert renewal is not None
    assert not renewal.steady
    assert await reap(db, both[0]) == set()


async def test_a_draining_worker_counts_for_nothing_in_the_shares(db: Database, rows: Rows) -> None:
    for _ in range(4):
        await rows.account()
    draining, other = await rows.worker(), await rows.worker()
    async with db.connection() as connection:
        await workers.drain(connection, draining)
        assert (await leases.share(connection, other, lease=LEASE)).fair == 4


async def test_a_worker_that_ends_in_order_frees_its_accounts(db: Database, rows: Rows) -> None:
    account, worker = await rows.account(), await rows.worker()
    await rows.own(worker)
    async with db.connection() as connection:
        await workers.remove(connection, worker)
    assert await rows.one("SELECT worker_id IS NULL AND epoch = 1 FROM lease WHERE account_id = $1", account)


async def test_the_sessions_of_a_dead_workers_engine_are_ended(database_url: str, db: Database, rows: Rows) -> None:
    living, dead = await rows.worker(), UUID(int=7)
    async with (
        Database.connect(database_url, application_name=f"{workers.ENGINE}{living}"),
        Database.connect(database_url, application_name=f"{workers.ENGINE}{dead}"),
    ):
        async with db.connection() as connection:
            assert await workers.end_sessions_of_the_gone(connection) == 1
        left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"
        assert await rows.one(left, f"{workers.ENGINE}{living}") == 1


async def test_heartbeats_keep_the_fence_open(db: Database, rows: Rows, settings: Settings) -> None:
    worker, fence, beats = await rows.worker(), Fence(0.6), 0

    def count() -> None:
        nonlocal beats
        beats += 1

    quick = settings.changed(lease_seconds=0.6, heartbeat_seconds=0.05)
    beating = asyncio.create_task(Heartbeat(db, worker, fence=fence, settings=quick, on_renewed=count).run())
    await until(lambda: beats > 5)
    assert fence.open
    await rows.one("DELETE FROM worker WHERE id = $1", worker)
    with pytest.raises(TakenForDead):
        await asyncio.wait_for(beating, 10)


async def test_the_fence_counts_from_when_the_renewal_was_asked_for(
    db: Database, rows: Rows, settings: Settings
) -> None:
    worker, fence = await rows.worker(), Fence(600)
    async with db.transaction() as connection:
        await connection.execute("SELECT FROM worker WHERE id = $1 FOR UPDATE", worker)
        heartbeat = Heartbeat(db, worker, fence=fence, settings=settings, on_renewed=lambda: None)
        beating = asyncio.create_task(heartbeat.run())
        await rows.until_blocked()
        asked_before = uptime()
        await asyncio.sleep(0.3)  # the database is slow
    await until(lambda: fence.open)
    at_most = asked_before + fence.width - uptime()
    assert fence.remaining <= at_most
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)


async def test_a_heartbeat_ends_the_transaction_in_which_a_dead_worker_froze(
    database_url: str, db: Database, rows: Rows, settings: Settings
) -> None:
    dead, heir = await rows.worker(), await rows.worker()
    await is_steady(rows, heir)
    async with (
        Database.connect(database_url, application_name=f"{workers.WORKER}{dead}") as far,
        far.connection() as frozen,
    ):
        await frozen.execute("BEGIN")
        await frozen.execute("SELECT FROM worker WHERE id = $1 FOR KEY SHARE", dead)
        await fell_silent(rows, dead)
        heartbeat = Heartbeat(db, heir, fence=Fence(6), settings=settings, on_renewed=lambda: None)
        beating = asyncio.create_task(heartbeat.run())
        await until(lambda: rows.one("SELECT count(*) = 1 FROM worker"))
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


async def test_a_dead_worker_is_removed_when_its_lease_ends_and_all_are_told_of_its_accounts(
    db: Database, rows: Rows, settings: Settings
) -> None:
    account, dead, heir = await rows.account(), await rows.worker(), await rows.worker()
    await rows.own(dead)
    await is_steady(rows, heir)
    await rows.one("UPDATE worker SET heartbeat_at = now() - interval '5.5 s' WHERE id = $1", dead)
    told: list[set[UUID]] = []
    ready = asyncio.Event()
    listening = asyncio.create_task(
        db.listen([Topic.WORK], lambda _, accounts: told.append(accounts), on_gap=ready.set)
    )
    await ready.wait()
    never = settings.changed(heartbeat_seconds=3600)
    beating = asyncio.create_task(Heartbeat(db, heir, fence=Fence(6), settings=never, on_renewed=lambda: None).run())
    await until(lambda: told)
    assert told == [{account}]
    assert await rows.one("SELECT array_agg(id) FROM worker") == [heir]
    for task in (listening, beating):
        task.cancel()
    await asyncio.gather(listening, beating, return_exceptions=True)


async def test_a_dead_worker_whose_row_was_locked_is_removed_soon_after(
    db: Database, rows: Rows, settings: Settings
) -> None:
    dead, heir = await rows.worker(), await rows.worker()
    await is_steady(rows, heir)
    await fell_silent(rows, dead)
    never = settings.changed(heartbeat_seconds=3600)
    beats: list[None] = []
    heartbeat = Heartbeat(db, heir, fence=Fence(6), settings=never, on_renewed=lambda: beats.append(None))
    async with db.transaction() as other:
        await other.execute("SELECT FROM worker WHERE id = $1 FOR KEY SHARE", dead)
        beating = asyncio.create_task(heartbeat.run())
        await until(lambda: len(beats) > 1)
        assert await rows.one("SELECT count(*) FROM worker") == 2
    await until(lambda: rows.one("SELECT count(*) = 1 FROM worker"))
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)


async def test_the_fence_closes_by_itself_when_the_database_is_away(
    database_url: str, rows: Rows, settings: Settings
) -> None:
    worker, fence = await rows.worker(), Fence(1)
    quick = settings.changed(lease_seconds=1, heartbeat_seconds=0.05)
    async with cable(database_url) as way, Database.connect(way.url, size=1) as far:
        beating = asyncio.create_task(
            Heartbeat(far, worker, fence=fence, settings=quick, on_renewed=lambda: None).run()
        )
        await until(lambda: fence.remaining > 0)
        await way.cut()
        await until(lambda: fence.remaining == 0, seconds=5)
        await way.mend()
        await until(lambda: fence.remaining > 0, seconds=10)
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


def test_the_fence_is_narrower_than_the_lease() -> None:
    fence = Fence(6)
    asked_at = uptime()
    assert fence.remaining == 0
    fence.renewed(asked_at)
    assert 3 < fence.remaining <= 3.6
    fence.renewed(asked_at - 3.6)
    assert not fence.open
    assert fence.remaining == 0
