"""How the pieces of an answer are written."""

import asyncio
from typing import cast

import pytest

from chatwren.web.http.writes import Joined

pytestmark = pytest.mark.anyio


class Wire:
    """A transport that notes what it is given."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.pieces.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def joined(wire: Wire) -> Joined:
    return Joined(cast("asyncio.Transport", wire), asyncio.get_running_loop())


async def test_the_head_goes_with_the_body_and_other_pieces_by_themselves(wire: Wire, joined: Joined) -> None:
    for piece in (b"head ", b"body", b"more"):
        joined.write(piece)
    assert wire.pieces == [b"head body", b"more"]
    await asyncio.sleep(0)
    assert wire.pieces == [b"head body", b"more"]


async def test_the_head_of_a_stream_does_not_wait_for_its_first_piece(wire: Wire, joined: Joined) -> None:
    joined.write(b"head")
    await asyncio.sleep(0)
    assert wire.pieces == [b"head"]
    joined.write(b"event")
    assert wire.pieces == [b"head", b"event"]


async def test_what_is_kept_is_written_before_the_end_and_not_after_it(wire: Wire, joined: Joined) -> None:
    joined.write(b"head")
    joined.close()
    assert (wire.pieces, joined.is_closing()) == ([b"head"], True)
    await asyncio.sleep(0)
    assert wire.pieces == [b"head"]


async def test_of_a_connection_that_ended_meanwhile_nothing_is_written(wire: Wire, joined: Joined) -> None:
    joined.write(b"head")
    wire.close()
    await asyncio.sleep(0)
    assert wire.pieces == []
