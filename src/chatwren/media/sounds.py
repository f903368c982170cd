"""How long a sound is that has no container but frames, one after the other, each of which tells its size and length.

Sources: RFC 4867, section 5 (AMR); ISO/IEC 14496-3, annex 1.A (AAC in ADTS); ISO/IEC 11172-3 and 13818-3 (MPEG audio).
Frames are counted, never decoded.
"""

from collections.abc import Callable
from typing import BinaryIO

from chatwren.media.clips import Clip
from chatwren.media.recognise import MAX_BYTES, MediaKind, tag_length

_MAX_FRAMES = 1_000_000
_MAX_GAPS = 64 * 1024  # bytes in all that are no frame: pictures in a tag that is cut off, tags at the end
_SURE = 3  # frames in a row that are not there by chance

_AMR_HEAD, _AMR_FRAME_SECONDS = 6, 0.02
_AMR_SIZES = (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1)  # by type; 0: there is no such
_AAC_HEAD, _AAC_SAMPLES = 7, 1024
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
# Kilobits a second of layer III, of MPEG-1 and of what came after it.
_KILOBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KILOBITS_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MP3_RATES = (44_100, 48_000, 32_000)
_DIVISORS = (4, 0, 2, 1)  # of the rates, by version: MPEG-2.5, none, MPEG-2, MPEG-1

_Frame = tuple[int, float]
"""How many bytes a frame has, and how many seconds."""


def read_sound(file: BinaryIO, mimetype: str) -> Clip:
    """How long an MP3, AAC of bare frames or AMR is; not told where it is something else than frames to its end."""
    content = file.read(MAX_BYTES[MediaKind.AUDIO])
    match mimetype:
        case "audio/amr":
            seconds = _length(content, _AMR_HEAD, _amr)
        case "audio/aac":
            seconds = _length(content, tag_length(content), _aac)
        case _:
            seconds = _length(content, tag_length(content), _mp3)
    return Clip(has_picture=False, seconds=max(1, round(seconds)) if seconds else None)


def _length(content: bytes, at: int, frame_at: Callable[[bytes, int], _Frame | None]) -> float | None:
    """Seconds of all frames from there on; None if most is something else, or too much of it."""
    seconds, gaps = 0.0, 0
    for _ in range(_MAX_FRAMES):
        if frame := frame_at(content, at):
            at += frame[0]
            seconds += frame[1]
            continue
        while at < len(content) and not _sure(content, at, frame_at):
            at += 1
            gaps += 1
            if gaps > _MAX_GAPS:
                return None
        if at >= len(content):
            return seconds if gaps * 2 < len(content) else None
    return None


def _sure(content: bytes, at: int, frame_at: Callable[[bytes, int], _Frame | None]) -> bool:
    for _ in range(_SURE):
        frame = frame_at(content, at)
        if frame is None:
            return False
        at += frame[0]
    return True


def _amr(content: bytes, at: int) -> _Frame | None:
    size = _AMR_SIZES[content[at] >> 3 & 0x0F] if at < len(content) else 0
    return (size, _AMR_FRAME_SECONDS) if size else None


def _aac(content: bytes, at: int) -> _Frame | None:
    head = content[at : at + _AAC_HEAD]
    if len(head) < _AAC_HEAD or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:  # noqa: PLR2004 - twelve bits, and the layer
        return None
    rate = head[2] >> 2 & 0x0F
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if rate >= len(_AAC_RATES) or size < _AAC_HEAD:
        return None
    return size, ((head[6] & 3) + 1) * _AAC_SAMPLES / _AAC_RATES[rate]


def _mp3(content: bytes, at: int) -> _Frame | None:
    head = content[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:  # noqa: PLR2004 - eleven bits, and layer III
        return None
    divisor, first = _DIVISORS[head[1] >> 3 & 3], head[1] >> 3 & 3 == 3  # noqa: PLR2004 - MPEG-1
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    if divisor == 0 or rate >= len(_MP3_RATES) or not 0 < bits < len(_KILOBITS):
        return None
    samples = 1152 if first else 576
    hertz = _MP3_RATES[rate] // divisor
    kilobits = (_KILOBITS if first else _KILOBITS_LOW)[bits]
    return samples * kilobits * 125 // hertz + (head[2] >> 1 & 1), samples / hertz
