"""Tests wait on conditions: with a bound, and never for a guess."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

_SECONDS = 20.0
_EVERY_SECONDS = 0.01


@overload
async def until(
    condition: Callable[[], Awaitable[T]], *, seconds: float = ..., every: float = ..., what: str = ...
) -> T: ...
@overload
async def until(condition: Callable[[], T], *, seconds: float = ..., every: float = ..., what: str = ...) -> T: ...
async def until(
    condition: Callable[[], Any], *, seconds: float = _SECONDS, every: float = _EVERY_SECONDS, what: str = "it"
) -> Any:
    """Wait until a condition, plain or awaitable, holds; its value.

    Args:
        condition: holds when its value is true.
        seconds: how long at most.
        every: seconds between two looks.
        what: what is waited for, for whoever reads that it did not happen.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s: {value!r}"
        await asyncio.sleep(every)


def wait_until(
    condition: Callable[[], T], *, seconds: float = _SECONDS, every: float = _EVERY_SECONDS, what: str = "it"
) -> T:
    """The same for a test without an event loop."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s: {value!r}"
        time.sleep(every)
    return value
