"""The stream of sends: outcomes in any order, and what is known of those that have none when it breaks."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc
import pytest

from chatwren.channels.engine.client import Engine
from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.channels.results import Result, Sent, Unknown
from tests.unit.fake_engine import FakeEngine
from tests.waiting import until

pytestmark = pytest.mark.anyio

ACCOUNT = uuid4()


class HeldEngine(FakeEngine):
    """Its sends have the outcomes that a test gives them.

    Attributes:
        came: the numbers of the sends that it was asked for, by their WhatsApp id.
        batches: how many sends came in each message of gRPC's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.came: dict[str, int] = {}
        self.batches: list[int] = []
        self._outcomes: asyncio.Queue[list[str] | None] = asyncio.Queue()

    def calls(self) -> dict[str, Any]:
        return super().calls() | {"Send": self._send}

    def take(self, *ids: str) -> None:
        """WhatsApp has taken these."""
        self._outcomes.put_nowait(list(ids))

    def break_stream(self) -> None:
        """End the stream with a fault."""
        self._outcomes.put_nowait(None)

    async def _send(self, batches: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async def read() -> None:
            async for batch in batches:
                self.batches.append(len(batch.sends))
                self.came |= {one.request.id: one.number for one in batch.sends}

        reading = asyncio.create_task(read())
        try:
            while (ids := await self._outcomes.get()) is not None:
                sent = pb.SendResponse(sent=pb.SendResponse.Sent())
                yield pb.OutcomeBatch(
                    outcomes=[pb.OutcomeBatch.One(number=self.came[one], outcome=sent) for one in ids]
                )
            await context.abort(grpc.StatusCode.INTERNAL, "so")
        finally:
            reading.cancel()


def sending(engine: Engine, wa_id: str, *, text: str = "hello", wait: float = 10) -> asyncio.Task[Result]:
    """A send under way."""
    to = "4915200009@s.whatsapp.net"
    return asyncio.create_task(
        engine.send(ACCOUNT, 1, to=to, message_id=wa_id, text=text, media=None, wait=wait),
    )


async def test_outcomes_come_in_any_order() -> None:
    fake = HeldEngine()
    async with fake.running() as engine:
        tasks = {wa_id: sending(engine, wa_id) for wa_id in ("ONE", "TWO", "THREE")}
        await until(lambda: len(fake.came) == 3)
        fake.take("THREE")
        assert await tasks["THREE"] == Sent("THREE")
        assert not tasks["ONE"].done()
        fake.take("TWO", "ONE")
        assert [await tasks["ONE"], await tasks["TWO"]] == [Sent("ONE"), Sent("TWO")]


async def test_of_what_is_under_way_when_the_stream_breaks_nothing_is_known_and_the_next_goes() -> None:
    fake = HeldEngine()
    async with fake.running() as engine:
        before = [sending(engine, "ONE"), sending(engine, "TWO")]
        await until(lambda: len(fake.came) == 2)
        fake.break_stream()
        for task in before:
            assert isinstance(await task, Unknown)
        after = sending(engine, "ONE")
        await until(lambda: fake.came["ONE"] and len(fake.batches) > 1)
        fake.take("ONE")
        assert await after == Sent("ONE")


async def test_a_send_without_an_outcome_in_time_is_unknown_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chatwren.channels.engine.client._GRACE_SECONDS", 0.1)
    fake = HeldEngine()
    async with fake.running() as engine:
        late, other = sending(engine, "ONE", wait=0.1), sending(engine, "TWO")
        assert isinstance(await late, Unknown)
        fake.take("ONE", "TWO")
        assert await other == Sent("TWO")


async def test_what_waits_goes_together_and_no_batch_is_larger_than_the_engine_takes() -> None:
    fake = HeldEngine()
    async with fake.running() as engine:
        small = [sending(engine, f"SMALL{number}") for number in range(50)]
        large = [sending(engine, f"LARGE{number}", text="x" * 1_000_000) for number in range(6)]
        await until(lambda: len(fake.came) == 56)
        assert len(fake.batches) < 56
        fake.take(*fake.came)
        for task in (*small, *large):
            assert isinstance(await task, Sent)


async def test_with_the_engine_all_sends_end() -> None:
    fake = HeldEngine()
    async with fake.running() as engine:
        task = sending(engine, "ONE")
        await until(lambda: fake.came)
    assert isinstance(await task, Unknown)
    assert isinstance(await sending(engine, "TWO"), Unknown)
