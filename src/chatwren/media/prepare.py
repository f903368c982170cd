"""An uploaded file made ready to be sent: recognised, measured, and an image brought within WhatsApp's bounds."""

import asyncio
import hashlib
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from chatwren.domain.errors import Invalid, TooLarge
from chatwren.media import recognise
from chatwren.media.decoder_wire import Archive, Clip, Other, Picture, Why
from chatwren.media.decoders import Decoders
from chatwren.media.formats import ZIPPED
from chatwren.media.recognise import MediaKind

_FIELD = "mediaFile"
_READ = 1024 * 1024
_CONTAINERS = frozenset({"video/mp4", "video/3gpp", "audio/mp4", "audio/ogg; codecs=opus"})
_ANEW = "Saved anew with fewer pixels, or as a JPEG that is not progressive, it goes as an image"
# Why an image goes as a document.
_NOT_SHOWN: dict[Why, str] = {
    "animation": "it is an animation, which would stand still as an image",
    "deep": "WhatsApp shows images of 8 bits a channel",
    "unknown": "it is coded in a way that phones do not show",
    "pixels": f"it has more than {recognise.MAX_IMAGE_PIXELS // 1_000_000} million pixels",
    "scans": "it is a JPEG of too many scans. Saved anew, it goes as an image",
    "memory": f"it takes too much memory to decode. {_ANEW}",
    "time": f"it takes too long to decode. {_ANEW}",
}


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """A file as it will be sent.

    Attributes:
        path: where it lies: where the upload lay. The caller removes it.
        kind: how WhatsApp shows it.
        mimetype: what WhatsApp is told.
        file_name: safe to keep it under; recipients see it with documents.
        size: bytes.
        sha256: hex, of the file as it will be sent.
        received_sha256: hex, of the file as it came: the same request has the same.
        width: pixels, of images and where a video tells it.
        height: likewise.
        seconds: length of a video or sound, where it tells that.
        thumbnail: a small JPEG of an image.
        warnings: sentences for the user about what he may not expect.
    """

    path: Path
    kind: MediaKind
    mimetype: str
    file_name: str
    size: int
    sha256: str
    received_sha256: str
    width: int | None = None
    height: int | None = None
    seconds: int | None = None
    thumbnail: bytes | None = None
    warnings: tuple[str, ...] = ()


async def prepare(
    path: Path, *, file_name: str | None, content_type: str | None, user: UUID, decoders: Decoders
) -> PreparedFile:
    """Make an uploaded file ready to be sent. To cancel this ends all work on it.

    What it is, its content tells. An image passes byte for byte if it is a JPEG or PNG of at most 16 MB and 4,096
    pixels a side, not CMYK, already upright, and says nothing of the place where it was taken. Else it becomes such a
    JPEG, without any metadata but its colour profile, and on white where it was transparent. Its pixels alone decide
    whether it is damaged: of what it says beside them what can be read is used.

    What WhatsApp would not show or play goes unchanged as a document, with a warning: animations (which would stand
    still), HEIC, TIFF, grey of 16 bits, images that take too much to decode, videos other than H.264
    with AAC in MP4 and 3GP or over 16 MB, audio other than MP3, AAC (also in M4A), AMR and Ogg with Opus.

    What a ZIP file is, what it holds tells, then its name, then the client; what a text is, its name, then the client.

    Args:
        path: the upload. A converted image takes its place.
        file_name: as the client gave it.
        content_type: as the client gave it: it tells among formats that look alike.
        user: whose turn it takes.
        decoders: who looks into images, videos, sounds and archives.

    Raises:
        Invalid: the file is empty, or an image that has lost pixels.
        TooLarge: over the limit of its kind.
        Unavailable: too many files wait, or it could not be read right now.
    """
    left = threading.Event()
    try:
        received, is_archive = await asyncio.to_thread(_received, path, file_name, content_type, left)
    finally:
        left.set()
    match received.kind:
        case MediaKind.IMAGE if received.size > recognise.MAX_IMAGE_UPLOAD_BYTES:
            limit = recognise.MAX_IMAGE_UPLOAD_BYTES // recognise.MEGABYTE
            return _as_document(received, f"an image may have {limit} MB at most")
        case MediaKind.IMAGE:
            return await _image(received, file_name, user, decoders)
        case MediaKind.VIDEO | MediaKind.AUDIO:
            return await _clip(received, file_name, user, decoders)
        case MediaKind.DOCUMENT if is_archive:
            return await _archive(received, file_name, user, decoders)
        case MediaKind.DOCUMENT:
            return _explained(received, content_type)


def _received(
    path: Path, file_name: str | None, content_type: str | None, left: threading.Event
) -> tuple[PreparedFile, bool]:
    """The file as it came, within the limits of what is accepted at all, and whether it is an archive."""
    size = path.stat().st_size
    if size == 0:
        raise Invalid(f"{_FIELD} is empty (0 bytes).", field=_FIELD)
    _refuse_larger(size, recognise.MAX_BYTES[MediaKind.DOCUMENT], "a file")
    with path.open("rb") as file:
        head = file.read(recognise.HEAD_BYTES)
        file.seek(recognise.tag_length(head))
        recognised = recognise.recognise(head, file_name, content_type, after_tag=file.read(recognise.HEAD_BYTES))
    if recognised.kind is MediaKind.AUDIO and recognised.mimetype not in _CONTAINERS:
        _refuse_larger(size, recognise.MAX_BYTES[MediaKind.AUDIO], "an audio file")
    sha256 = _sha256(path, left)
    received = PreparedFile(
        path=path,
        kind=recognised.kind,
        mimetype=recognised.mimetype,
        file_name=recognise.safe_file_name(file_name, recognised.extension),
        size=size,
        sha256=sha256,
        received_sha256=sha256,
    )
    return received, recognised.is_archive


def _refuse_larger(size: int, limit: int, what: str) -> None:
    if size > limit:
        megabytes = size / recognise.MEGABYTE
        raise TooLarge(f"{_FIELD} has {megabytes:.1f} MB; {what} may have {limit // recognise.MEGABYTE} MB at most.")


def _sha256(path: Path, left: threading.Event) -> str:
    """The whole file's, unless nobody waits for it any more."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while not left.is_set() and (chunk := file.read(_READ)):
            digest.update(chunk)
    return digest.hexdigest()


def _as_document(received: PreparedFile, because: str) -> PreparedFile:
    return replace(received, kind=MediaKind.DOCUMENT, warnings=(f"{_FIELD} goes as a document: {because}.",))


def _explained(received: PreparedFile, content_type: str | None) -> PreparedFile:
    """A document with the reason why, if one might expect to see or hear it in the chat."""
    told = (content_type or "").partition("/")[0].strip().lower()
    match received.mimetype.partition("/")[0]:
        case "image":
            return _as_document(received, "WhatsApp shows JPEG and PNG images")
        case "video":
            return _as_document(received, "WhatsApp plays MP4 and 3GP videos")
        case "audio":
            return _as_document(received, "WhatsApp plays MP3, AAC, M4A, AMR and Ogg Opus audio")
        case _ if told in {"image", "video", "audio"}:
            return _as_document(received, f"it is no {told}, although its Content-Type says so")
        case _:
            return received


async def _archive(received: PreparedFile, given_name: str | None, user: UUID, decoders: Decoders) -> PreparedFile:
    """A ZIP file, as what it holds tells; else as its name and the client do."""
    reply = await decoders.decode(user, received.path, task="archive", mimetype=received.mimetype, size=received.size)
    held = reply.outcome.format if isinstance(reply.outcome, Archive) else ""
    if held not in ZIPPED:
        return received
    return replace(received, mimetype=ZIPPED[held], file_name=recognise.safe_file_name(given_name, held))


async def _clip(received: PreparedFile, given_name: str | None, user: UUID, decoders: Decoders) -> PreparedFile:
    seconds = width = height = None
    kind, mimetype = received.kind, received.mimetype
    reply = await decoders.decode(user, received.path, task="clip", mimetype=mimetype, size=received.size)
    clip = reply.outcome
    if mimetype in _CONTAINERS:
        if not isinstance(clip, Clip) or not clip.playable:
            return _as_document(received, "it has no index, as if it were cut off, and cannot be played")
        seconds, width, height = clip.seconds, clip.width, clip.height
        if not clip.sound_plays or (kind is MediaKind.VIDEO and not clip.picture_plays):
            played = (
                "videos of H.264 with AAC" if kind is MediaKind.VIDEO and clip.has_picture else "sounds of AAC in MP4"
            )
            unplayed = _as_document(received, f"WhatsApp plays {played}")
            return replace(unplayed, seconds=seconds, width=width, height=height)
        if kind is MediaKind.VIDEO and not clip.has_picture:  # what many phones record speech into
            kind, mimetype = MediaKind.AUDIO, "audio/mp4"
            received = replace(received, file_name=recognise.safe_file_name(given_name, "m4a"))
    else:
        seconds = clip.seconds if isinstance(clip, Clip) else None
    if kind is MediaKind.AUDIO:
        _refuse_larger(received.size, recognise.MAX_BYTES[kind], "an audio file")
    elif received.size > recognise.MAX_BYTES[kind]:
        limit = recognise.MAX_BYTES[kind] // recognise.MEGABYTE
        received = _as_document(received, f"WhatsApp plays videos of up to {limit} MB")
        kind = received.kind
    return replace(received, kind=kind, mimetype=mimetype, seconds=seconds, width=width, height=height)


async def _image(received: PreparedFile, given_name: str | None, user: UUID, decoders: Decoders) -> PreparedFile:
    reply = await decoders.decode(user, received.path, task="picture", mimetype=received.mimetype, size=received.size)
    match reply.outcome:
        case Picture(width=width, height=height):
            received = replace(received, width=width, height=height, thumbnail=reply.thumbnail)
            if not reply.content:
                return received
            return await asyncio.to_thread(_converted, received, given_name, reply.content)
        case Other(why=why) if why in _NOT_SHOWN:
            return _as_document(received, _NOT_SHOWN[why])
        case _:
            raise Invalid(f"{_FIELD} looks like an image but cannot be read: it is damaged or cut off.", field=_FIELD)


def _converted(received: PreparedFile, given_name: str | None, content: bytes) -> PreparedFile:
    with received.path.open("r+b") as file:  # fails if the caller has given up and removed it
        file.write(content)
        file.truncate()
    return replace(
        received,
        mimetype="image/jpeg",
        file_name=recognise.safe_file_name(given_name, "jpg"),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
