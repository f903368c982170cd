"""What many callers ask of the database at the same time, done together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from chatwren.store.database import CLASHES, UNREACHABLE

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_MOST = 500


class Batches(Generic[Item, Result]):
    """Takes whatever waits when the batch before is done. Nothing waits for company: a lone caller is served at once.

    Args:
        work: does a batch in one statement or transaction; gives one result for each item, in their order.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._work = work
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Result:
        """The item's result, when its batch is done.

        Raises:
            any of UNREACHABLE: the database is away.
            Exception: what `work` raised for this item alone; a failure of another item of the batch is not seen here.
        """
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await done

    async def end(self) -> None:
        """Leave what is under way and what waits: its callers must have gone."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._do([self._waiting.popleft() for _ in range(min(_AT_MOST, len(self._waiting)))])
        finally:
            self._running = None

    async def _do(self, batch: list[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        try:
            results = await self._results([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is the caller's
            if len(batch) == 1 or isinstance(error, UNREACHABLE):
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
            else:  # one that fails must not fail its neighbours
                for one in batch:
                    await self._do([one])
        else:
            for (_, done), result in zip(batch, results, strict=True):
                if not done.done():  # its caller may have gone away
                    done.set_result(result)

    async def _results(self, items: Sequence[Item]) -> Sequence[Result]:
        while True:
            try:
                return await self._work(items)
            except CLASHES:
                continue
