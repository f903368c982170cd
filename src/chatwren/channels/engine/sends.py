"""The stream by which messages go to an engine: many under way at a time, whose outcomes come in any order."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

import grpc
import structlog

from chatwren.channels.engine.enginepb import engine_pb2 as pb

log = structlog.get_logger(__name__)

_LARGEST_BATCH = 256 << 10
"""Bytes of requests that go as one message of gRPC's, unless one alone has more: the engine takes 4 MiB."""


class Sends:
    """One stream. It ends with the first fault, and with it everything that has no outcome yet.

    Args:
        call: opens it.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call()
        self._numbers = itertools.count(1)
        self._waiting: deque[pb.SendBatch.One] = deque()
        self._outcomes: dict[int, asyncio.Future[pb.SendResponse]] = {}
        self._writing: asyncio.Task[None] | None = None
        self._reading = asyncio.create_task(self._read())

    @property
    def ended(self) -> bool:
        """Whether nothing can be sent by it any more."""
        return self._reading.done()

    async def send(self, request: pb.SendRequest, *, within: float) -> pb.SendResponse:
        """What became of a message, within so many seconds.

        Raises:
            TimeoutError: nothing is known by then.
            ConnectionError: the stream has ended.
        """
        number = next(self._numbers)
        outcome = self._outcomes[number] = asyncio.get_running_loop().create_future()
        self._waiting.append(pb.SendBatch.One(number=number, request=request))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        try:
            async with asyncio.timeout(within):
                found: pb.SendResponse = await outcome
            return found
        finally:
            self._outcomes.pop(number, None)

    async def end(self) -> None:
        """End it."""
        self._call.cancel()
        tasks = [task for task in (self._reading, self._writing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self) -> None:
        """Write what waits, and what comes meanwhile."""
        try:
            while batch := self._batch():
                await self._call.write(pb.SendBatch(sends=batch))
        except Exception as error:  # noqa: BLE001 - the call has ended, and whoever reads hears of it
            self._waiting.clear()
            log.debug("sends.not_written", error=repr(error))
        finally:
            self._writing = None

    def _batch(self) -> list[pb.SendBatch.One]:
        """What is to be written next: nothing that nobody waits for any more."""
        batch: list[pb.SendBatch.One] = []
        size = 0
        while self._waiting and (not batch or size + self._waiting[0].ByteSize() <= _LARGEST_BATCH):
            one = self._waiting.popleft()
            if one.number in self._outcomes:
                batch.append(one)
                size += one.ByteSize()
        return batch

    async def _read(self) -> None:
        """Pass on outcomes. When no more can come, nobody waits for one any longer."""
        why = "the stream of sends ended"
        try:
            while (batch := await self._call.read()) is not grpc.aio.EOF:
                for one in batch.outcomes:
                    outcome = self._outcomes.get(one.number)
                    if outcome is not None and not outcome.done():
                        outcome.set_result(one.outcome)
        except grpc.aio.AioRpcError as error:
            why = f"{error.code().name}: {error.details()}"
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the stream
            why = repr(error)
        finally:
            for outcome in self._outcomes.values():
                if not outcome.done():
                    outcome.set_exception(ConnectionError(why))
