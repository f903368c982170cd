"""What is said between web and the process that decodes one file for it (decoders.py, decoder_process.py).

What comes back may be the work of a hostile file that has taken the process over: it is read within bounds, and says
nothing but what these shapes can say.
"""

from typing import Annotated, Literal

import msgspec

from chatwren.media.recognise import MAX_IMAGE_EDGE, MAX_IMAGE_UPLOAD_BYTES

_MAX_THUMBNAIL = 64 * 1024
_MAX_SIDE = 1 << 32
_LENGTH_BYTES = 4
_MAX_HEAD = 1024
JOB_BYTES = 1024
"""The most that a job has, as it travels."""
MAX_REPLY = _LENGTH_BYTES + _MAX_HEAD + MAX_IMAGE_UPLOAD_BYTES + _MAX_THUMBNAIL

Why = Literal["animation", "deep", "unknown", "damaged", "pixels", "scans", "memory", "time"]
"""Why no picture is made of an image: it is an animation; grey of more than 8 bits; coded as no phone can show it; has
lost pixels; has more of them, or scans, than are looked into; takes more memory or time than it may."""

Task = Literal["picture", "clip", "archive"]
Side = Annotated[int, msgspec.Meta(ge=1, le=MAX_IMAGE_EDGE)]


class Job(msgspec.Struct):
    """What is to be done with the file whose descriptor comes along.

    Attributes:
        task: to decode a picture, to read what a video or sound says about itself, or what a ZIP file holds.
        mimetype: by its first bytes.
        size: bytes.
        memory: bytes that it may take beyond what a process has when it starts.
        seconds: of the processor, that it may take.
    """

    task: Task
    mimetype: str
    size: int
    memory: int
    seconds: int


class Picture(msgspec.Struct, tag="picture"):
    """An image that is within WhatsApp's bounds, or was brought within them.

    Attributes:
        width: pixels, as it is to be sent.
        height: likewise.
        content: bytes of the JPEG that it became; 0: it passes as it is.
        thumbnail: bytes of a small JPEG.
    """

    width: Side
    height: Side
    content: Annotated[int, msgspec.Meta(ge=0, le=MAX_IMAGE_UPLOAD_BYTES)]
    thumbnail: Annotated[int, msgspec.Meta(ge=1, le=_MAX_THUMBNAIL)]


class Clip(msgspec.Struct, tag="clip"):
    """What a video or sound says about itself. The fields are those of media.clips.Clip."""

    playable: bool
    has_picture: bool = False
    seconds: Annotated[int, msgspec.Meta(ge=1, le=_MAX_SIDE)] | None = None
    width: Annotated[int, msgspec.Meta(ge=1, le=_MAX_SIDE)] | None = None
    height: Annotated[int, msgspec.Meta(ge=1, le=_MAX_SIDE)] | None = None
    picture_plays: bool = True
    sound_plays: bool = True


class Archive(msgspec.Struct, tag="archive"):
    """What a ZIP file holds.

    Attributes:
        format: the usual extension of a format whose files are ZIP files; "" for none that is known.
    """

    format: Annotated[str, msgspec.Meta(max_length=8)] = ""


class Other(msgspec.Struct, tag="other"):
    """An image of which no picture is made."""

    why: Why


Outcome = Picture | Clip | Archive | Other
"""What became of a file."""


class Reply(msgspec.Struct):
    """An outcome; of a picture also the JPEG that it became (b"": it passes as it is), and its thumbnail."""

    outcome: Outcome
    content: bytes = b""
    thumbnail: bytes = b""


def pack(outcome: Outcome, content: bytes = b"", thumbnail: bytes = b"") -> bytes:
    """A reply, as it travels."""
    head = msgspec.json.encode(outcome)
    return b"".join((len(head).to_bytes(_LENGTH_BYTES), head, content, thumbnail))


def unpack(reply: bytes) -> Reply:
    """A reply that has travelled.

    Raises:
        ValueError: it is none.
    """
    begin = _LENGTH_BYTES + min(int.from_bytes(reply[:_LENGTH_BYTES]), _MAX_HEAD)
    outcome = msgspec.json.decode(reply[_LENGTH_BYTES:begin], type=Outcome)
    if not isinstance(outcome, Picture):
        return Reply(outcome)
    middle = begin + outcome.content
    content, thumbnail = reply[begin:middle], reply[middle:]
    jpegs = all(one.startswith(b"\xff\xd8\xff") for one in (content, thumbnail) if one)
    if len(content) != outcome.content or len(thumbnail) != outcome.thumbnail or not jpegs:
        raise ValueError("a picture that is no JPEG of the told size")
    return Reply(outcome, content, thumbnail)
