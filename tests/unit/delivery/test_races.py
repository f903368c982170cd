"""What happens at the same moment to one message: its acknowledgement, and its recipient's receipt."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from chatwren.domain.reasons import UNCONFIRMED
from chatwren.store.database import CLASHES, Database
from tests.rows import Rows
from tests.unit.delivery.claimed import Scene

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
