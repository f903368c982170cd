"""Between protobuf and Python, both ways, in one place. All that comes in is storable from here on.

Strangers choose most of it, and the engine is not trusted to have made it harmless.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import islice
from uuid import UUID

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from chatwren.channels import facts, results
from chatwren.channels.engine import model
from chatwren.channels.engine.enginepb import engine_pb2 as pb
from chatwren.channels.engine.refusals import refused
from chatwren.domain import reasons
from chatwren.domain.storable import MAX_ITEMS, moment, name, span, storable, text

_MEDIA_KINDS = {
    "image": pb.MediaKind.IMAGE,
    "video": pb.MediaKind.VIDEO,
    "audio": pb.MediaKind.AUDIO,
    "document": pb.MediaKind.DOCUMENT,
}
_NOT_SENT = {
    pb.SendResponse.NotSent.NOT_CONNECTED: results.NotSentReason.NOT_CONNECTED,
    pb.SendResponse.NotSent.NOT_OPEN: results.NotSentReason.NOT_OPEN,
    pb.SendResponse.NotSent.FENCED: results.NotSentReason.FENCED,
    pb.SendResponse.NotSent.BUSY: results.NotSentReason.BUSY,
    pb.SendResponse.NotSent.LOCAL: results.NotSentReason.LOCAL,
}
_PAIRING_FAILURES = {
    pb.PairEvent.Failure.TIMEOUT: "timeout",
    pb.PairEvent.Failure.REFUSED: "refused",
    pb.PairEvent.Failure.OUTDATED: "outdated",
    pb.PairEvent.Failure.PROTOCOL: "protocol",
    pb.PairEvent.Failure.DISCONNECTED: "disconnected",
}
# Why an account is offline, and when to open it again; None: the engine reconnects.
_OFFLINE: dict[int, tuple[str, timedelta | None]] = {
    pb.Event.State.DISCONNECTED: ("connection_lost", None),
    pb.Event.State.REPLACED: ("replaced", timedelta(seconds=5)),  # a lease that was lost is noticed before that
    pb.Event.State.OUTDATED: ("outdated", timedelta(minutes=15)),
    pb.Event.State.FENCED: ("fenced", timedelta()),
}
_AFTER_CONNECT_FAILURE = timedelta(minutes=1)
# WhatsApp's reasons at login, as whatsmeow names them: 401 logged out, 403 account locked, 406 banned.
_UNLINKED = {403: ("logged_out", "locked"), 406: ("banned", "banned")}
_UNLINKED_ON_THE_PHONE = ("logged_out", "unlinked_on_phone")
_BESIDE = ("@s.whatsapp.net", "@lid")
"""Chats of one person: while their receipts are stored the account goes on (engine/bridge/receipts.go)."""
_READ = {pb.Event.Receipt.DELIVERED: False, pb.Event.Receipt.READ: True, pb.Event.Receipt.PLAYED: True}


_NOBODY = UUID(int=0)
"""The account of what does not say whose it is."""


def media_kind(kind: str) -> pb.MediaKind.ValueType:
    """`image`, `video`, `audio`, `document`."""
    return _MEDIA_KINDS[kind]


def media_to_pb(media: model.Media) -> pb.Media:
    """A file that goes out."""
    return pb.Media(
        handle=pb.MediaHandle.FromString(media.handle),
        mimetype=media.mimetype,
        file_name=media.file_name,
        width=media.width or 0,
        height=media.height or 0,
        seconds=media.seconds or 0,
        thumbnail_jpeg=media.thumbnail or b"",
    )


def send_result(response: pb.SendResponse, message_id: str, to: str) -> results.Result:
    """What became of a send under this id. An outcome that this version does not know may mean that it is out."""
    match response.WhichOneof("outcome"):
        case "sent":
            return results.Sent(message_id)
        case "not_sent":
            reason = _NOT_SENT.get(response.not_sent.reason, results.NotSentReason.LOCAL)
            return results.NotSent(reason, text(response.not_sent.detail))
        case "rejected":
            rejected = response.rejected
            return refused(rejected.code, text(rejected.detail), to_group=to.endswith("@g.us"))
        case "not_on_whatsapp":
            return results.Refused(reasons.NOT_ON_WHATSAPP)
        case "invalid":
            return results.Refused(reasons.UNSENDABLE, text(response.invalid.detail))
    return results.Unknown(text(response.unknown.detail))


def pair_event(event: pb.PairEvent) -> model.PairEvent:
    """A step of a pairing.

    Raises:
        ValueError: it has more codes than any pairing.
    """
    return storable(_pair_event(event))


def _pair_event(event: pb.PairEvent) -> model.PairEvent:
    match event.WhichOneof("event"):
        case "codes":
            return model.Codes(tuple((code.text, span(code.valid_for_ms)) for code in event.codes.codes))
        case "phone_code":
            return model.TypedCode(event.phone_code.text, span(event.phone_code.valid_for_ms))
        case "confirm":
            return model.Confirm(event.confirm.jid)
        case "success":
            return model.Success(event.success.jid, event.success.lid)
        case "passkey_request" | "passkey_confirm":
            return model.PasskeyWanted()
    return model.PairingFailed(_PAIRING_FAILURES.get(event.failure.kind, "protocol"), event.failure.detail)


def group(one: pb.Group) -> model.Group:
    """A group."""
    phones = islice((member.phone for member in one.participants if member.phone), MAX_ITEMS)
    return storable(model.Group(one.jid, one.name, tuple(phones), len(one.participants)))


def address(jid: str) -> str:
    """An address that is no part of anything else."""
    return name(jid)


def event(raw: bytes) -> facts.Event:
    """Something that happened, as the engine sent it. What cannot be read costs that event alone: `what` says so.

    Raises:
        DecodeError: not even the number by which it is acknowledged can be read.
    """
    try:
        one = pb.Event.FromString(raw)
    except DecodeError as error:
        head = pb.EventHead.FromString(raw)
        return facts.Event(head.seq, _account(head.account), "event", head.needs_ack, _unreadable(error), raw)
    kind: str = one.WhichOneof("event") or "event"
    try:
        what = storable(_EVENTS[kind](one))
    except Exception as error:  # noqa: BLE001 - whatever it is, a stranger may have made it
        what = _unreadable(error)
    if kind == "unreadable":
        kind = name(one.unreadable.kind)
    return facts.Event(one.seq, _account(one.account), kind, one.needs_ack, what, raw)


def event_as_text(raw: bytes) -> str:
    """An event for a person to read, field by field; what is none, as Python shows bytes."""
    try:
        return text_format.MessageToString(pb.Event.FromString(raw), as_utf8=True)
    except DecodeError:
        return repr(raw)


def _account(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        return _NOBODY


def _unreadable(error: Exception) -> facts.Unreadable:
    return storable(facts.Unreadable(f"{type(error).__name__}: {error}"))


def _message(one: pb.Event) -> facts.Happened:
    message = one.message
    return facts.MessageReceived(
        id=message.id,
        chat=message.chat,
        chat_phone=message.chat_phone or None,
        sender=message.sender,
        sender_phone=message.sender_phone or None,
        push_name=message.push_name or None,
        from_me=message.from_me,
        group=message.group,
        at=moment(message.at),
        text=message.text,
        media=message.media.SerializeToString() if message.HasField("media") else None,
    )


def _receipt(one: pb.Event) -> facts.Happened:
    receipt = one.receipt
    read = _READ.get(receipt.type)
    if read is None:
        return facts.Other(f"receipt {receipt.type} {' '.join(receipt.ids)}")
    holds_up = not receipt.chat.endswith(_BESIDE)
    return facts.ReceiptReceived(
        tuple(receipt.ids), receipt.chat, receipt.chat_alt or None, read, moment(receipt.at), holds_up
    )


def _state(one: pb.Event) -> facts.Happened:
    state = one.state
    match state.kind:
        case pb.Event.State.CONNECTED:
            return facts.Connected(state.push_name or None)
        case pb.Event.State.BANNED:
            until = moment(state.expires_at) if state.expires_at else None
            return facts.Restricted(state.code, until, state.detail)
        case pb.Event.State.LOGGED_OUT:
            status, reason = _UNLINKED.get(state.code, _UNLINKED_ON_THE_PHONE)
            return facts.Unlinked(status, reason, state.code, state.detail)
        case pb.Event.State.CONNECT_FAILURE:
            reason = f"connect_failure_{state.code}"
            return facts.Offline(reason, _AFTER_CONNECT_FAILURE, state.code, state.detail)
        case kind if kind in _OFFLINE:
            return facts.Offline(*_OFFLINE[kind], state.code, state.detail)
    return facts.Other(f"state {state.kind}")


_EVENTS: dict[str, Callable[[pb.Event], facts.Happened]] = {
    "message": _message,
    "receipt": _receipt,
    "state": _state,
    "group_change": lambda _: facts.GroupsChanged(),
    "push_name": lambda one: facts.NameChanged(one.push_name.name),
    "undecryptable": lambda one: facts.Other(f"undecryptable {one.undecryptable.id}"),
    "unreadable": lambda one: facts.Unreadable(one.unreadable.detail),
}
