"""An engine that says what a test tells it: a real gRPC server on a unix socket, with a real stream of events."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc

from chatwren.channels.engine.client import Engine
from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.channels.engine.process import socket_folder
from chatwren.domain.ids import whatsapp_message_id

SERVICE = pb.DESCRIPTOR.services_by_name["Engine"]


class FakeEngine:
    """Events are sent in order; a new stream begins anew with all that awaits its ack.

    Attributes:
        acks: what was answered, in that order, as (seq, ok).
        sent: how many events have left, repetitions included.
        streams: how many streams there have been.
    """

    def __init__(self) -> None:
        self.acks: list[tuple[int, bool]] = []
        self.sent = 0
        self.streams = 0
        self._seq = 0
        self._events: dict[int, bytes] = {}
        self._more = asyncio.Condition()
        self._ended = asyncio.Event()

    async def say(self, *events: pb.Event) -> list[int]:
        """Send events. Returns their numbers."""
        numbers = []
        for event in events:
            event.seq = self._seq + 1
            numbers += await self.say_bytes(event.SerializeToString())
        return numbers

    async def say_bytes(self, *raw: bytes) -> list[int]:
        """Send what is no event, perhaps. It counts all the same."""
        first = self._seq + 1
        async with self._more:
            for one in raw:
                self._seq += 1
                self._events[self._seq] = one
            self._more.notify_all()
        return list(range(first, self._seq + 1))

    def end_stream(self) -> None:
        """End the stream that there is, as a fault of the connection would."""
        self._ended.set()

    def waiting(self) -> set[int]:
        """The events that have no ack."""
        return self._events.keys() - {seq for seq, _ in self.acks}

    def calls(self) -> dict[str, Any]:
        """What it answers, by the name of the call."""
        return {"Events": self._serve}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Engine]:
        """The client of this engine."""
        with socket_folder() as folder:
            async with _served(folder / "1.sock", self.calls()) as engine:
                yield engine

    def _has(self, number: int) -> bool:
        return number <= self._seq

    async def _serve(self, acks: AsyncIterator[pb.AckBatch], context: Any) -> None:
        self.streams += 1
        self._ended.clear()

        async def read() -> None:
            async for batch in acks:
                self.acks += [(ack.seq, ack.ok) for ack in batch.acks]

        async def write() -> None:
            for number in itertools.count(1):
                async with self._more:
                    await self._more.wait_for(partial(self._has, number))
                if number in self.waiting():
                    await context.write(pb.EventBytes(events=[self._events[number]]))
                    self.sent += 1

        tasks = [asyncio.create_task(one) for one in (read(), write(), self._ended.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _served(socket: Path, calls: dict[str, Any]) -> AsyncIterator[Engine]:
    rpc: Any = grpc  # has no types
    server = grpc.aio.server()
    handlers = {name: _handler(SERVICE.methods_by_name[name], call) for name, call in calls.items()}
    server.add_generic_rpc_handlers([rpc.method_handlers_generic_handler(SERVICE.full_name, handlers)])
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    try:
        async with Engine.connect(socket) as engine:
            yield engine
    finally:
        await server.stop(None)


def _handler(method: Any, call: Any) -> Any:
    kind = "_".join("stream" if many else "unary" for many in (method.client_streaming, method.server_streaming))
    question, answer = getattr(pb, method.input_type.name), getattr(pb, method.output_type.name)
    if method.name == "Events":  # which go as the bytes that they are, and need not be events
        answer = pb.EventBytes
    return getattr(grpc, f"{kind}_rpc_method_handler")(
        call,
        request_deserializer=question.FromString,
        response_serializer=answer.SerializeToString,
    )


def message(account: UUID, wa_id: str | None = None, **more: Any) -> pb.Event:
    """A message from a stranger in a direct chat."""
    fields: dict[str, Any] = {
        "id": wa_id or whatsapp_message_id(),
        "chat": "4915200009@s.whatsapp.net",
        "sender": "4915200009@s.whatsapp.net",
        "chat_phone": "4915200009",
        "sender_phone": "4915200009",
        "push_name": "Dora",
        "at": 1_700_000_000_000,
        "text": "hello",
        "raw": b"raw",
    }
    return pb.Event(account=str(account), needs_ack=True, message=pb.Event.Message(**fields | more))


def receipt(
    account: UUID, *ids: str, kind: str = "DELIVERED", at: int = 1_700_000_000_000, chat: str = "4915200001"
) -> pb.Event:
    """A receipt of a recipient: of who is written to where nobody is named."""
    what = pb.Event.Receipt(ids=ids, chat=f"{chat}@s.whatsapp.net", type=pb.Event.Receipt.Type.Value(kind), at=at)
    return pb.Event(account=str(account), needs_ack=True, receipt=what)


def state(account: UUID, kind: str, **more: Any) -> pb.Event:
    """A change of an account's connection."""
    what = pb.Event.State(kind=pb.Event.State.Kind.Value(kind), **more)
    return pb.Event(account=str(account), needs_ack=True, state=what)
