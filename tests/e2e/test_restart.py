"""`chatwren serve` after a kill -9: the accounts of its worker are its again, however long their leases are.

A lease of an hour, so that what comes back has not waited for its end.
"""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.house import Person
from tests.e2e.whole import Whole, served
from tests.waiting import until

pytestmark = pytest.mark.anyio

LEASE = {"CHATWREN_LEASE_SECONDS": "3600"}


@pytest.fixture
async def whole() -> AsyncIterator[Whole]:
    async with served(**LEASE) as made, made.home.person("alice") as alice:
        made.people = [alice]
        await alice.link()
        yield made


async def kill_all(whole: Whole) -> None:
    """Kill `serve` and its children; none of them has time for a last word."""
    pids = [whole.pid(name) for name in ("serve", "worker", "engine", "web", "sandbox")]
    for how in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, how)


def open_files(pid: int) -> list[Path]:
    return [one.readlink() for one in Path(f"/proc/{pid}/fd").iterdir()]


async def owner(whole: Whole, alice: Person) -> str | None:
    return (await whole.home.owners([alice]))[0]


async def until_taken_over(whole: Whole, alice: Person, *, before: str | None) -> None:
    """Wait until another worker has the account, and a connection for it."""

    async def taken() -> bool:
        return await owner(whole, alice) not in (before, None) and await alice.connected()

    await until(taken, seconds=30, what="the takeover")


async def test_all_was_killed(whole: Whole) -> None:
    alice = whole.people[0]
    before = await owner(whole, alice)
    (mark,) = (whole.home.folder / "data" / "workers").iterdir()
    for name in ("worker", "engine"):  # while one of them lives, the worker is not dead
        assert mark in open_files(whole.pid(name))
    await kill_all(whole)
    await whole.start()
    await until_taken_over(whole, alice, before=before)


async def test_its_worker_alone_was_killed(whole: Whole) -> None:
    alice = whole.people[0]
    before = await owner(whole, alice)
    for name in ("worker", "engine"):
        os.kill(whole.pid(name), signal.SIGKILL)
    await until_taken_over(whole, alice, before=before)


async def test_its_worker_was_frozen_and_lives(whole: Whole) -> None:
    """As long as it does it may go on at any moment: only its lease says when that no longer counts."""
    alice = whole.people[0]
    before = await owner(whole, alice)
    frozen = whole.pid("worker")
    os.kill(frozen, signal.SIGSTOP)
    os.kill(whole.pid("serve"), signal.SIGKILL)
    await whole.start()
    assert await owner(whole, alice) == before
    os.kill(frozen, signal.SIGKILL)
    await until_taken_over(whole, alice, before=before)


async def test_workers_that_it_did_not_start_are_left(database_url: str) -> None:
    """One that somebody started beside it, on the same database and folder, may be anywhere: its lease has to end."""
    async with served(database_url, **LEASE) as whole, whole.home.person("alice") as alice:
        whole.people = [alice]
        await alice.link()
        before = await owner(whole, alice)
        beside = await whole.home.worker()
        name = (await until(beside.lives, what="the worker's start"))[0]
        beside.signal(signal.SIGKILL)
        await beside.process.wait()
        await kill_all(whole)
        await whole.start()
        await until_taken_over(whole, alice, before=before)
        assert await whole.home.sql("SELECT FROM worker WHERE id = $1::text::uuid", name)
