"""The engine seen from Python: one method for each thing it does, typed results, one tree of exceptions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self
from uuid import UUID

import grpc

from chatwren.channels.channel import ChannelError
from chatwren.channels.engine import convert
from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.channels.engine.enginepb.engine_pb2_grpc import EngineStub
from chatwren.channels.engine.model import Group, Media, PairEvent
from chatwren.channels.engine.sends import Sends
from chatwren.channels.facts import Event
from chatwren.channels.results import Result, Unknown

_SOON = 5.0
_WHATSAPP_SECONDS = 30.0
_LOGOUT_SECONDS = 75.0
_GRACE_SECONDS = 5.0
_UPLOAD_SECONDS = 600.0
_EVENTS = f"/{pb.DESCRIPTOR.services_by_name['Engine'].full_name}/Events"
_CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # else the back-off of an engine that died holds for its successor
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.enable_http_proxy", 0),
)


class EngineError(ChannelError):
    """The engine, WhatsApp or the database did not answer. The same may succeed later."""

    default_code: ClassVar[str] = "engine"


class NotOpen(EngineError):
    """The account is not open there under this epoch, or has no connection."""


class EngineRefused(EngineError):
    """The engine will never do this."""

    permanent: ClassVar[bool] = True


class NoDevice(EngineRefused):
    """No keys are stored for this device: it has to be linked again."""


class Superseded(EngineRefused):
    """A newer owner has opened the account."""


_KINDS: Mapping[grpc.StatusCode, type[EngineError]] = {
    grpc.StatusCode.FAILED_PRECONDITION: NotOpen,
    grpc.StatusCode.INVALID_ARGUMENT: EngineRefused,
    grpc.StatusCode.NOT_FOUND: EngineRefused,
    grpc.StatusCode.UNIMPLEMENTED: EngineRefused,
}


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        kind = _KINDS.get(error.code(), EngineError)
        raise kind(f"{error.code().name}: {error.details()}") from None
    except asyncio.CancelledError:
        # grpc raises it for calls on a channel that is closed, too; nobody has cancelled this task then.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise EngineError("the engine is gone") from None
    except (grpc.aio.UsageError, grpc.aio.InternalError) as error:
        raise EngineError(f"the channel to the engine is closed: {error}") from None


class Pairing:
    """A pairing under way: iterate over its steps; after a `Confirm` call `confirm`."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def __aiter__(self) -> AsyncIterator[PairEvent]:
        """The steps, up to success or failure.

        Raises:
            EngineError: the engine is gone.
        """
        with _translated():
            while (event := await self._call.read()) is not grpc.aio.EOF:
                yield convert.pair_event(event)

    async def confirm(self, *, accept: bool) -> None:
        """Say whether the device may be saved."""
        with _translated():
            await self._call.write(pb.PairRequest(confirm=pb.PairRequest.Confirm(accept=accept)))


class Events:
    """What happens to all accounts, and the acks."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Events as they come.

        Raises:
            EngineError: the stream ended.
        """
        with _translated():
            while (batch := await self._call.read()) is not grpc.aio.EOF:
                for raw in batch.events:
                    yield convert.event(raw)
        raise EngineError("the stream of events ended")

    async def ack(self, events: Iterable[Event]) -> None:
        """Say that these are on disk. Not to be called twice at a time."""
        with _translated():
            await self._call.write(pb.AckBatch(acks=[pb.EventAck(seq=event.seq, ok=True) for event in events]))


class Engine:
    """One running engine. Made by `Engine.connect`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = EngineStub(channel)  # the generated stub is typed for blocking calls
        # As bytes: an event that cannot be parsed could not be acknowledged, and what came with it would be lost.
        self._events: Any = channel.stream_stream(
            _EVENTS,
            request_serializer=pb.AckBatch.SerializeToString,
            response_deserializer=pb.EventBytes.FromString,
        )
        self._sends: Sends | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, socket: Path) -> AsyncIterator[Self]:
        """Connect to the engine that listens on this unix socket. Calls under way fail when the block ends."""
        async with grpc.aio.insecure_channel(f"unix:{socket}", options=_CHANNEL_OPTIONS) as channel:
            engine = cls(channel)
            try:
                yield engine
            finally:
                if engine._sends is not None:
                    await engine._sends.end()

    async def describe(self) -> Mapping[str, str]:
        """Its build, whatsmeow's, the protocol version, and the server that it talks to (empty: WhatsApp's)."""
        with _translated():
            info = await self._stub.Info(pb.InfoRequest(), timeout=_SOON, wait_for_ready=True)
        return {
            "version": info.version,
            "whatsmeow": info.whatsmeow,
            "protocol": info.protocol_version,
            "server": info.server,
        }

    async def open(self, account: UUID, jid: str, epoch: int, *, valid_for: float) -> None:
        """Connect an account, and keep it so. Repeated, it connects again after a state that ended the connection.

        Raises:
            NoDevice: it has to be linked again.
            Superseded: a newer epoch is open.
            EngineError: no answer.
        """
        request = pb.OpenRequest(account=str(account), jid=jid, epoch=epoch, valid_for_ms=int(valid_for * 1000))
        with _translated():
            response = await self._stub.Open(request, timeout=_SOON)
        if response.result == pb.OpenResponse.NO_DEVICE:
            raise NoDevice("No keys are stored for this device.")
        if response.result == pb.OpenResponse.FENCED:
            raise Superseded("A newer owner has opened the account.")

    async def renew(self, epochs: Mapping[UUID, int], *, valid_for: float, at_most: float) -> set[UUID]:
        """Extend leases by `valid_for` seconds from now. Returns the accounts that are not open there.

        Raises:
            EngineError: no answer after `at_most` seconds.
        """
        leases = [
            pb.RenewRequest.Lease(account=str(account), epoch=epoch, valid_for_ms=int(valid_for * 1000))
            for account, epoch in epochs.items()
        ]
        with _translated():
            response = await self._stub.Renew(pb.RenewRequest(leases=leases), timeout=at_most)
        return {UUID(account) for account in response.unknown}

    async def close(self, account: UUID, epoch: int) -> None:
        """Disconnect an account; its device stays linked."""
        with _translated():
            await self._stub.Close(pb.CloseRequest(account=str(account), epoch=epoch), timeout=_SOON)

    async def logout(self, account: UUID, jid: str, epoch: int) -> bool:
        """Unlink a device and forget its keys. False: WhatsApp could not be told.

        A pairing of the account that runs is ended before.

        Raises:
            NoDevice: its keys are not stored: it was not saved, or is unlinked already.
            EngineError: no answer.
        """
        request = pb.LogoutRequest(account=str(account), jid=jid, epoch=epoch)
        with _translated():
            response = await self._stub.Logout(request, timeout=_LOGOUT_SECONDS)
        if response.no_device:
            raise NoDevice("No keys are stored for this device.")
        return bool(response.told_whatsapp)

    async def logout_orphans(self, known: Collection[str]) -> list[str]:
        """Log out every stored device that is none of these. Returns which."""
        with _translated():
            response = await self._stub.LogoutOrphans(
                pb.LogoutOrphansRequest(known_jids=list(known)), timeout=_LOGOUT_SECONDS
            )
        return list(response.logged_out)

    @contextlib.asynccontextmanager
    async def pair(self, account: UUID, epoch: int, phone: str | None) -> AsyncIterator[Pairing]:
        """Link a new device. `phone`: digits, to pair by a code typed there. The pairing ends with the block."""
        call = self._stub.Pair()
        try:
            with _translated():
                start = pb.PairRequest.Start(account=str(account), epoch=epoch, phone=phone or "")
                await call.write(pb.PairRequest(start=start))
            yield Pairing(call)
        finally:
            call.cancel()

    async def send(
        self, account: UUID, epoch: int, *, to: str, message_id: str, text: str, media: Media | None, wait: float
    ) -> Result:
        """Send one message under this WhatsApp id; wait so many seconds for WhatsApp's acknowledgement.

        That the engine does not answer is an unknown outcome, not an exception.
        """
        request = pb.SendRequest(
            account=str(account),
            epoch=epoch,
            id=message_id,
            to=to,
            text=text,
            media=convert.media_to_pb(media) if media else None,
            timeout_ms=int(wait * 1000),
        )
        try:
            with _translated():
                if self._sends is None or self._sends.ended:
                    self._sends = Sends(self._stub.Send)
            response = await self._sends.send(request, within=wait + _GRACE_SECONDS)
        except TimeoutError:
            return Unknown("the engine does not answer")
        except (EngineError, ConnectionError) as error:
            return Unknown(str(error))
        return convert.send_result(response, message_id, to)

    async def upload(self, account: UUID, epoch: int, kind: str, chunks: AsyncIterator[bytes]) -> bytes:
        """Encrypt and upload a file (image, video, audio or document). Returns a handle that can be sent many times.

        Raises:
            EngineRefused: WhatsApp does not take it.
            EngineError: not now.
        """

        async def requests() -> AsyncIterator[pb.UploadRequest]:
            start = pb.UploadRequest.Start(account=str(account), epoch=epoch, kind=convert.media_kind(kind))
            yield pb.UploadRequest(start=start)
            async for chunk in chunks:
                yield pb.UploadRequest(chunk=chunk)

        with _translated():
            response = await self._stub.Upload(requests(), timeout=_UPLOAD_SECONDS)
        if response.WhichOneof("result") == "handle":
            return bytes(response.handle.SerializeToString())
        raise (EngineRefused if response.failed.permanent else EngineError)(response.failed.detail)

    async def groups(self, account: UUID, epoch: int) -> list[Group]:
        """All groups that the account is in, asked of WhatsApp."""
        with _translated():
            response = await self._stub.Groups(
                pb.GroupsRequest(account=str(account), epoch=epoch), timeout=_WHATSAPP_SECONDS
            )
        return [convert.group(one) for one in response.groups]

    async def address_of(self, account: UUID, epoch: int, phone: str) -> str | None:
        """The JID that messages to this number (digits) go to; None: it is not on WhatsApp."""
        request = pb.CheckNumbersRequest(account=str(account), epoch=epoch, phones=[phone])
        with _translated():
            response = await self._stub.CheckNumbers(request, timeout=_WHATSAPP_SECONDS)
        for result in response.results:
            if result.phone == phone:
                return convert.address(result.jid) if result.registered else None
        raise EngineError("WhatsApp's answer does not hold the number that was asked for")

    @contextlib.asynccontextmanager
    async def events(self) -> AsyncIterator[Events]:
        """The one stream of events; it begins with all that awaits an ack."""
        call = self._events()
        try:
            yield Events(call)
        finally:
            call.cancel()
