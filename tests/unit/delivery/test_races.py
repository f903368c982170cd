"""What happens at the same moment to one message: its acknowledgement, and its recipient's receipt."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from chatwren.domain.reasons import UNCONFIRMED
from chatwren.store import facts
from chatwren.store.database import CLASHES, Database
from chatwren.store.fenced.going_on import GoneOn
from tests.rows import Rows, receipt_of
from tests.unit.delivery.claimed import Scene
from tests.unit.delivery.test_going_on import Scene as Acknowledged

pytestmark = pytest.mark.anyio

TIMES = 50
OUTCOMES: dict[str, dict[str, Any]] = {
    "sent": {"fact": True},
    "sending": {"unconfirmed": True, "account_pause": timedelta(minutes=1)},
    "waiting": {"unconfirmed": True, "account_pause": timedelta(seconds=1)},
    "failed": {"failure": UNCONFIRMED, "unconfirmed": True},
}


async def until_no_clash(work: Callable[[], Awaitable[Any]]) -> None:
    """As those who write do: what ended in a clash is done again."""
    while True:
        try:
            await work()
        except CLASHES:
            continue
        return


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("first", ["record", "receipt"])
async def test_an_outcome_beside_a_receipt(db: Database, rows: Rows, first: str, outcome: str) -> None:
    """Whichever comes first, and however they overlap: the receipt proves it to be sent, and the account goes on."""
    for number in range(TIMES):
        scene = await Scene(db, rows).begin()
        made = scene.outcome(outcome, **OUTCOMES[outcome])
        recording = until_no_clash(partial(scene.record, made))
        receiving = until_no_clash(partial(scene.receive, scene.receipt(read=True)))
        both = [recording, receiving] if first == "record" else [receiving, recording]
        await asyncio.gather(*both)
        row = await rows.get(scene.claimed.id)
        assert row["status"] == "sent", number
        assert row["claimed_at"] <= row["sent_at"] <= row["delivered_at"] <= row["read_at"]
        assert (row["error_code"], row["ended_at"]) == (None, None)
        assert await rows.one("SELECT in_flight IS NULL FROM account WHERE id = $1", scene.account)
        assert await rows.one("SELECT reached_at IS NOT NULL FROM contact WHERE account_id = $1", scene.account)


@pytest.mark.parametrize("first", ["outcome", "receipt"])
async def test_going_on_beside_a_receipt(db: Database, rows: Rows, first: str) -> None:
    """Whichever comes first: the message is sent, and at most its next one is in flight."""
    for number in range(TIMES):
        scene = await Acknowledged(db, rows).begin()
        following = await rows.message(scene.account)
        gone: list[GoneOn] = []

        async def go_on(scene: Acknowledged = scene, gone: list[GoneOn] = gone) -> None:
            gone[:] = [await scene.go_on()]

        async def receive(scene: Acknowledged = scene) -> None:
            async with db.transaction() as connection:
                await facts.apply_receipts(connection, [receipt_of(scene.claimed, read=True)])

        both = [until_no_clash(go_on), until_no_clash(receive)]
        await asyncio.gather(*(both if first == "outcome" else reversed(both)))
        row = await rows.get(scene.claimed.id)
        assert (row["status"], row["read_at"] is not None) == ("sent", True), number
        claimed = [one.id for one in gone[0].taken]
        assert claimed == ([] if gone[0].left else [following])
        assert await rows.status(following) == ("sending" if claimed else "waiting")
        in_flight = await rows.one("SELECT in_flight FROM account WHERE id = $1", scene.account)
        assert in_flight == (following if claimed else None)


async def test_batches_of_many_accounts_beside_each_other(db: Database, rows: Rows) -> None:
    """Outcomes and receipts of the same accounts, in opposite orders: accounts are locked in one order everywhere."""
    scenes = [await Scene(db, rows).begin() for _ in range(10)]

    async def record(scene: Scene) -> None:
        await until_no_clash(lambda: scene.record(scene.outcome("sent", fact=True)))

    receipts = [scene.receipt(read=True) for scene in scenes]
    await asyncio.gather(
        until_no_clash(lambda: scenes[0].receive(*receipts)),
        until_no_clash(lambda: scenes[0].receive(*reversed(receipts))),
        *[record(scene) for scene in reversed(scenes)],
    )
    assert await rows.one("SELECT count(*) FROM message WHERE status = 'sent' AND read_at IS NOT NULL") == len(scenes)
    assert await rows.one("SELECT count(*) FROM account WHERE in_flight IS NOT NULL") == 0
