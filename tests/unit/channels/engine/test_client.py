"""What the engine's errors become."""

from typing import Any
from uuid import uuid4

import grpc
import pytest

from chatwren.channels.engine.client import EngineError, EngineRefused, NotOpen
from tests.unit.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio


class FailingEngine(FakeEngine):
    """Fails with one code."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__()
        self._code = code

    def calls(self) -> dict[str, Any]:
        return super().calls() | {"CheckNumbers": self._fail}

    async def _fail(self, _request: Any, context: Any) -> None:
        await context.abort(self._code, "so")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, NotOpen),
        (grpc.StatusCode.INVALID_ARGUMENT, EngineRefused),
        (grpc.StatusCode.UNAVAILABLE, EngineError),
        (grpc.StatusCode.INTERNAL, EngineError),
    ],
    ids=str,
)
async def test_an_error_says_whether_the_account_is_at_fault(code: grpc.StatusCode, kind: type[EngineError]) -> None:
    async with FailingEngine(code).running() as engine:
        with pytest.raises(EngineError, match="so") as caught:
            await engine.address_of(uuid4(), 1, "4915112345678")
    assert type(caught.value) is kind
