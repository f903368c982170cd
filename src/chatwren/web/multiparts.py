"""Multipart bodies, streamed: a file goes to a temporary file as it comes, and only fields are held in memory."""

import binascii
import contextlib
import json
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from chatwren.domain.errors import Invalid, TooLarge
from chatwren.domain.fields import shown_name
from chatwren.domain.sizes import size
from chatwren.web.access import body_chunks
from chatwren.web.context import HttpRequest
from chatwren.web.http.bodies import let_go
from chatwren.web.parts import UTF_8, Part, decode, read_part
from chatwren.web.uploads import Uploads, temporary_file, write_on

MAX_PARTS = 100
_MAX_HEADERS = 20
"""Of a part. What is made for mail has a few of its own."""
_MAX_HEADER_BYTES = 8 * 1024
"""A name of 255 letters takes 2 to 3 KiB, encoded twice."""
_WRITE_BYTES = 512 * 1024
_JSON = "application/json"
_TEXT_TYPES = frozenset({_JSON, "text/plain"})
_FIELD_TYPES = _TEXT_TYPES | {"", "text/html", "application/octet-stream", "application/x-www-form-urlencoded"}
"""Of parts without a file name: some clients give every field a type."""
_AS_IT_IS = frozenset({"", "7bit", "8bit", "binary"})
_BASE64 = "base64"
_BEGINS_PART = re.compile(rb"^content-disposition[ \t]*:[ \t]*form-data", re.IGNORECASE | re.MULTILINE)
_LONGEST_EDGE = 256
"""Bytes kept to find what two pieces share. A boundary has 70 characters at most."""
_CHARSET = "_charset_"
"""RFC 7578: the field in which a page says in which charset it sends the others."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a client sent, as long as its form is open."""

    path: Path
    file_name: str
    content_type: str
    size: int


class _Parser(PushMultipartParser):  # type: ignore[misc]
    """Passes over a part's Content-Length, as RFC 7578 has it: some clients count characters."""

    def _on_segment_headerline(self, line: bytes) -> None:
        if line[:15].lower() != b"content-length:":
            super()._on_segment_headerline(line)


class _Outside:
    """What comes before the first part and after the last. It is for no reader, so that no part may be lost in it.

    A line of the boundary that is damaged, or that a client wrote by hand, makes one of what was meant as a part.
    """

    def __init__(self, boundary: str) -> None:
        line = b"--" + boundary.encode("latin-1", "replace")
        self._edges = [line, b"\r\n" + line + b"--"]  # those to come
        self._inside = False
        self._kept = b""

    def has_part(self, chunk: bytes) -> bool:
        """Whether one begins in the next piece of the body."""
        rest = self._kept + chunk
        while self._edges:
            piece, edge, rest = rest.partition(self._edges[0])
            if not self._inside and _BEGINS_PART.search(piece):
                return True
            if not edge:
                self._kept = piece[-_LONGEST_EDGE:]
                return False
            self._edges.pop(0)
            self._inside = not self._inside
        self._kept = rest[-_LONGEST_EDGE:]
        return _BEGINS_PART.search(rest) is not None


async def read_parts(request: HttpRequest, boundary: str, parts: "Parts") -> None:
    """Hand the parts of a request's body to `parts`.

    Raises:
        Invalid: it cannot be read.
        TooLarge: it has too many parts, or is too large.
        NotAuthenticated, TooSlow: see access.
        TooMany, Unavailable: see uploads.
    """
    if not boundary:
        raise Invalid(
            "Content-Type multipart/form-data lacks its boundary. Leave the header to your HTTP client: it sets both.",
            code="malformed_body",
        )
    outside = _Outside(boundary)
    try:
        with _Parser(
            boundary,
            max_header_size=_MAX_HEADER_BYTES,
            max_header_count=_MAX_HEADERS,
            max_segment_count=MAX_PARTS,
            header_charset="latin-1",  # which any bytes are: see parts
        ) as parser:
            async for chunk in body_chunks(request, at_most=parts.at_most, of_file=parts.of_file):
                if outside.has_part(chunk):
                    raise parts.broken()
                for event in parser.parse(chunk):
                    if (taking := parts.take(event)) is not None:
                        await taking
    except ParserLimitReached:
        raise TooLarge(f"The form has more than {MAX_PARTS} parts, or longer names than any form of ours.") from None
    except MultipartError:
        raise parts.broken() from None


class Parts:
    """Takes the events of the multipart parser, one after the other, and gathers fields.

    Args:
        uploads: which fields may be files, and whose they are; None: none may.
        stack: how long files are kept.
        at_most: bytes of all fields, and of what is around them.
        charset: of texts that name none.

    Attributes:
        at_most: as given.
        of_file: bytes of a file.
        values: of the fields.
        files: of the fields that may be files.
        strays: the names under which other files came, and texts that were sent as files.
    """

    def __init__(
        self,
        request: HttpRequest,
        uploads: Uploads | None,
        stack: contextlib.AsyncExitStack,
        *,
        at_most: int,
        charset: str | None,
    ) -> None:
        self.at_most = at_most
        self.of_file = uploads.at_most if uploads else 0
        self.values: dict[str, list[object]] = {}
        self.files: dict[str, list[Upload]] = {}
        self.strays: dict[str, None] = {}
        self._request = request
        self._uploads = uploads
        self._stack = stack
        self._charset = charset or UTF_8
        self._part: Part | None = None
        self._stray = self._ignored = False
        self._buffer = bytearray()
        self._file: IO[bytes] | None = None
        self._received = self._size = 0
        self._field_bytes = 0

    def take(self, event: MultipartSegment | bytes | None) -> Awaitable[None] | None:
        """Take the head of a part, a piece of what it holds, or its end.

        Returns:
            What is to be awaited before the next; None: of fields nothing is.
        """
        if isinstance(event, MultipartSegment):
            return self._begin(read_part(event, self._charset))
        return self._end() if event is None else self._add(event)

    def broken(self) -> Invalid:
        """The error of a body that cannot be taken apart where it is now."""
        message = "The body is no whole multipart/form-data"
        if self._part is None:
            needs = "a line of the boundary that the Content-Type names, and a Content-Disposition: form-data"
            return Invalid(f"{message}: each part begins with {needs}. Lines end with CR LF.", code="malformed_body")
        name = _shown(self._part)
        return Invalid(f"{message}: it ends within {name}, or goes wrong there.", field=name, code="malformed_body")

    def _begin(self, part: Part) -> Awaitable[None] | None:
        self._part, self._received, self._size = part, 0, 0
        if part.transfer not in _AS_IT_IS and part.transfer != _BASE64:
            name = _shown(part)
            raise Invalid(f"{name} has a Content-Transfer-Encoding that is not read. Send it as it is.", field=name)
        if part.content_type.startswith("multipart/"):
            name = _shown(part)
            raise Invalid(f"{name} is several parts in one, which are not read. Send each by itself.", field=name)
        is_file = part.file_name is not None or part.content_type not in _FIELD_TYPES
        if self._uploads and part.name in self._uploads.fields:
            self._stray = self._ignored = False
            if is_file or part.content_type not in _TEXT_TYPES | {""}:
                return self._open(self._uploads)
            return None
        # JavaScript sends a field made as a Blob like a file: what says that it is a text is taken as one.
        self._ignored = is_file and part.content_type not in _TEXT_TYPES
        self._stray = is_file
        return None

    async def _open(self, uploads: Uploads) -> None:
        self._file = await self._stack.enter_async_context(temporary_file(self._request, uploads.user_id))

    def _add(self, data: bytes) -> Awaitable[None] | None:
        self._received += len(data)
        if self._ignored:
            let_go(self._request, len(data))
            return None
        self._buffer += data
        if self._file is not None:
            return self._write(self._file, self._part) if len(self._buffer) >= _WRITE_BYTES else None
        self._field_bytes += len(data)
        if self._field_bytes > self.at_most:
            raise TooLarge(f"The fields of the form are larger than {size(self.at_most)}.")
        return None

    def _end(self) -> Awaitable[None] | None:
        part, self._part = self._part, None
        if part is None:
            return None
        if self._stray and (part.file_name or self._received):  # a page's empty file input has neither
            self.strays[part.name] = None
        if self._ignored:
            return None
        if self._file is not None:
            return self._close(self._file, part)
        text = self._text(part)
        self._buffer.clear()
        if part.name == _CHARSET:
            self._charset = text.strip() or UTF_8
        self.values.setdefault(part.name, []).append(text)
        return None

    async def _close(self, file: IO[bytes], part: Part) -> None:
        self._file = None
        await self._write(file, part, last=True)
        upload = Upload(Path(file.name), part.file_name or "", part.content_type, self._size)
        self.files.setdefault(part.name, []).append(upload)

    def _text(self, part: Part) -> str:
        data: bytes | bytearray = self._buffer
        if part.transfer == _BASE64:
            data = _from_base64(data, part)
        if b"\n" in data and _BEGINS_PART.search(data):
            raise self.broken()  # the line of the boundary before it is damaged
        charset = part.charset or self._charset
        try:
            text = data.decode() if charset == UTF_8 else decode(data, charset)
        except (LookupError, UnicodeDecodeError):
            name = _shown(part)
            if self._uploads and part.name in self._uploads.fields:
                message = f"{name} must be a file: its part needs a file name, or a Content-Type."
            else:
                message = f"{name} is no text in UTF-8, or in a charset that its part's Content-Type names."
                if self._uploads:
                    message += f" A file goes as {next(iter(self._uploads.fields))}."
            raise Invalid(message, field=name) from None
        if part.content_type == _JSON and text.startswith('"'):
            return _json_text(text)
        return text

    async def _write(self, file: IO[bytes], part: Part | None, *, last: bool = False) -> None:
        received = len(self._buffer)
        data = bytes(self._buffer)
        self._buffer.clear()
        if part and part.transfer == _BASE64:
            data = data.translate(None, b"\r\n\t ")
            whole = len(data) if last else len(data) // 4 * 4
            self._buffer += data[whole:]
            data = _from_base64(data[:whole], part)
        self._size += len(data)
        await write_on(self._request, file, data)
        let_go(self._request, received - len(self._buffer))


def _shown(part: Part) -> str:
    """The name of a part's field, for an error."""
    return shown_name(part.name) or "A part without a name"


def _from_base64(data: bytes | bytearray, part: Part) -> bytes:
    try:
        return binascii.a2b_base64(bytes(data).translate(None, b"\r\n\t "), strict_mode=True)
    except binascii.Error:
        name = _shown(part)
        raise Invalid(f"{name} is no base64, which its Content-Transfer-Encoding names.", field=name) from None


def _json_text(text: str) -> str:
    """A text that came as JSON, as Retrofit's converters send every field; as it is where it is no JSON."""
    try:
        found = json.loads(text)  # unlike msgspec takes half an emoji, whose field has a better word for it
    except ValueError:
        return text
    return found if isinstance(found, str) else text
