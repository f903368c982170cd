"""Every form in which clients send fields: JSON, URL-encoded and multipart bodies give the same `Form`.

Multipart bodies are streamed: a file goes to a temporary file as it comes, and only fields are held in memory.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from chatwren.domain.errors import Invalid, TooLarge, UnsupportedType
from chatwren.domain.fields import Reader
from chatwren.domain.text import absent
from chatwren.web.access import body_chunks
from chatwren.web.context import HttpRequest
from chatwren.web.http.bodies import FEW_FIELDS_BYTES, MAX_FILE_BYTES, let_go
from chatwren.web.uploads import Uploads, temporary_file, write_on

_MAX_PARTS = 100
_MAX_STRUCTURE = 64 * 1024
"""Bytes of a JSON body besides the texts in it: what is read into more objects than it has bytes."""
_MAX_STRINGS = 2_000
_MAX_ESCAPES = 128 * 1024
"""A URL-encoded body may have so many: two for each byte of the longest message."""
_LONG = 16 * 1024
_WRITE_BYTES = 512 * 1024
_JSON = "application/json"
_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
# One text of a JSON document, also if it does not end. Possessive: nothing is looked at twice, whatever is sent.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_LOST_PLUS = re.compile(rb"(?<==)\+(?=[0-9+()-]{7,30}(?:&|\Z))")
"""The plus of a phone number that is written as it is: read as URL-encoded, it would be a space."""
_TEXT_TYPES = frozenset({_JSON, "text/plain"})


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a client sent, as long as its form is open."""

    path: Path
    file_name: str
    content_type: str
    size: int


class Form(Reader):
    """The fields of a request, of which some may be files.

    Args:
        values: as a Reader's.
        files: what was given as files, for each field.
    """

    def __init__(
        self, values: Mapping[str, Sequence[object]], files: Mapping[str, Sequence[Upload]] | None = None
    ) -> None:
        super().__init__(values)
        self._files = files or {}

    def file(self, name: str) -> Upload | None:
        """The file of that field; None when absent."""
        try:
            return self._file(name)
        except Invalid as error:
            self._fail(error)
            return None

    def _one(self, name: str) -> object:
        if name in self._files:
            raise Invalid(f"{name} must be a text, not a file.", field=name)
        return super()._one(name)

    def _file(self, name: str) -> Upload | None:
        files = [one for one in self._files.get(name, []) if one.file_name or one.size]
        if len(files) > 1:
            raise Invalid(f"{name} is given more than once; a message takes one file.", field=name)
        if not files:
            if not all(absent(value) for value in self._values.get(name, [])):
                raise Invalid(f"{name} must be a file, sent as multipart/form-data.", field=name)
            return None
        if not files[0].size:
            raise Invalid(f"{name} is an empty file.", field=name)
        return files[0]


def refuse_encoded(request: Request[Any, Any, Any]) -> None:
    """Refuse a compressed body: a small one would become a huge one.

    Raises:
        UnsupportedType: it has a Content-Encoding.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedType("Send the body without Content-Encoding.")


def read_query(request: Request[Any, Any, Any]) -> Form:
    """The query's parameters.

    Raises:
        Invalid: not URL-encoded UTF-8.
    """
    return _urlencoded(request.scope["query_string"])


@contextlib.asynccontextmanager
async def read_form(
    request: HttpRequest, *, at_most: int = FEW_FIELDS_BYTES, uploads: Uploads | None = None
) -> AsyncIterator[Form]:
    """The fields of a request's body, and its files as long as the context is open.

    Args:
        request: the body of which was not read yet.
        at_most: bytes of the body, and of the fields where there are files beside them.
        uploads: which fields may be files, and whose they are; None: none may.

    Raises:
        Invalid: the body cannot be read as what its Content-Type says.
        UnsupportedType: it is none of the three.
        NotAuthenticated, TooLarge, TooSlow: see access.
        TooMany, Unavailable: see uploads.
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    refuse_encoded(request)
    if content_type == _MULTIPART:
        async with contextlib.AsyncExitStack() as stack:
            parts = _Parts(request, uploads, stack, at_most=at_most)
            yield await _multipart(request, options.get("boundary", ""), parts)
    else:
        yield await _of_one_piece(request, content_type, at_most=at_most)


async def _of_one_piece(request: HttpRequest, content_type: str, *, at_most: int) -> Form:
    """The fields of a body without files, which itself is gone afterwards."""
    body = b"".join([chunk async for chunk in body_chunks(request, at_most=at_most)])
    if not body:
        return Form({})
    if content_type == _JSON or (content_type.startswith("application/") and content_type.endswith("+json")):
        return _json(body)
    if content_type == _URLENCODED:
        # Python reads it, at some 100 ns an escape: the others have their turns meanwhile.
        return _urlencoded(body) if len(body) <= _LONG else await asyncio.to_thread(_urlencoded, body)
    raise UnsupportedType(
        f"Content-Type {content_type or '(none)'} is not one that this route reads. "
        f"Send {_JSON}, {_MULTIPART} or {_URLENCODED}."
    )


def _json(body: bytes) -> Form:
    if len(body) > _MAX_STRUCTURE and len(_STRING.sub(b"", body, count=_MAX_STRINGS)) > _MAX_STRUCTURE:
        raise TooLarge("The body holds more members, lists or digits than any of ours.")
    try:
        members = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        members = _any_json(body)
    if not isinstance(members, dict):
        raise Invalid('The body must be a JSON object: {"field": "value", …}.', code="malformed_body")
    return Form.of(members)


def _any_json(body: bytes) -> object:
    """JSON that msgspec refuses: half an emoji, say, as a script cuts it, whose field has a better word for it."""
    try:
        return json.loads(body)
    except RecursionError:
        raise Invalid("The body is nested too deeply.", code="malformed_body") from None
    except UnicodeDecodeError:
        raise Invalid("The body is no UTF-8.", code="malformed_body") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Invalid(f"The body is no JSON: look at {where}.", code="malformed_body") from None
    except ValueError:
        raise Invalid("The body holds a number of too many digits.", code="malformed_body") from None


def _urlencoded(encoded: bytes) -> Form:
    if encoded.count(b"%") > _MAX_ESCAPES:
        raise TooLarge(f"The form has more than {_MAX_ESCAPES:,} escaped characters.")
    encoded = _LOST_PLUS.sub(b"%2B", encoded)
    try:
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARTS)
    except ValueError:
        raise Invalid(
            f"The form is not URL-encoded UTF-8 of at most {_MAX_PARTS} fields.", code="malformed_body"
        ) from None
    return Form(_gathered(pairs))


def _gathered(pairs: Iterable[tuple[str, object]]) -> dict[str, list[object]]:
    values: dict[str, list[object]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


async def _multipart(request: HttpRequest, boundary: str, parts: "_Parts") -> Form:
    if not boundary:
        raise Invalid(
            "Content-Type multipart/form-data lacks its boundary. Leave the header to your HTTP client: it sets both.",
            code="malformed_body",
        )
    try:
        with PushMultipartParser(boundary, max_segment_count=_MAX_PARTS) as parser:
            async for chunk in body_chunks(request, at_most=parts.at_most):
                for event in parser.parse(chunk):
                    if (taking := parts.take(event)) is not None:
                        await taking
    except ParserLimitReached:
        raise TooLarge(f"The form has more than {_MAX_PARTS} parts, or longer names than any form of ours.") from None
    except UnicodeDecodeError:
        raise Invalid("A field or a name of the form is no UTF-8.", code="malformed_body") from None
    except MultipartError:
        raise Invalid(
            "The body is no whole multipart/form-data with the boundary that its Content-Type names.",
            code="malformed_body",
        ) from None
    return Form(parts.values, parts.files)


class _Parts:
    """Takes the events of the multipart parser, one after the other, and gathers fields."""

    def __init__(
        self, request: HttpRequest, uploads: Uploads | None, stack: contextlib.AsyncExitStack, *, at_most: int
    ) -> None:
        self.at_most = at_most + (MAX_FILE_BYTES if uploads else 0)
        self.values: dict[str, list[object]] = {}
        self.files: dict[str, list[Upload]] = {}
        self._request = request
        self._uploads = uploads
        self._stack = stack
        self._segment: MultipartSegment | None = None
        self._ignored = False
        self._buffer = bytearray()
        self._file: IO[bytes] | None = None
        self._field_bytes = 0
        self._most_field_bytes = at_most

    def take(self, event: MultipartSegment | bytes | None) -> Awaitable[None] | None:
        """Take one event. What is to be awaited, before the next; None: of fields nothing is."""
        if isinstance(event, MultipartSegment):
            return self._begin(event)
        return self._end() if event is None else self._add(event)

    def _begin(self, segment: MultipartSegment) -> Awaitable[None] | None:
        self._segment = segment
        uploads = self._uploads if self._uploads and segment.name in self._uploads.fields else None
        # JavaScript sends a field made as a Blob like a file: what says that it is a text is taken as one.
        self._ignored = segment.filename is not None and not uploads and segment.content_type not in _TEXT_TYPES
        return self._open(uploads) if segment.filename is not None and uploads else None

    async def _open(self, uploads: Uploads) -> None:
        self._file = await self._stack.enter_async_context(temporary_file(self._request, uploads.user_id))

    def _add(self, data: bytes) -> Awaitable[None] | None:
        if self._ignored:
            let_go(self._request, len(data))
            return None
        self._buffer += data
        if self._file is not None:
            return self._write(self._file) if len(self._buffer) >= _WRITE_BYTES else None
        self._field_bytes += len(data)
        if self._field_bytes > self._most_field_bytes:
            raise TooLarge(f"The fields of the form are larger than {self._most_field_bytes:,} bytes.")
        return None

    def _end(self) -> Awaitable[None] | None:
        segment, self._segment = self._segment, None
        if segment is None or self._ignored:
            return None
        if self._file is not None:
            return self._close(segment, self._file)
        self.values.setdefault(segment.name or "", []).append(self._buffer.decode())
        self._buffer.clear()
        return None

    async def _close(self, segment: MultipartSegment, file: IO[bytes]) -> None:
        self._file = None
        await self._write(file)
        file.flush()
        upload = Upload(Path(file.name), segment.filename or "", segment.content_type or "", segment.size)
        self.files.setdefault(segment.name or "", []).append(upload)

    async def _write(self, file: IO[bytes]) -> None:
        data = bytes(self._buffer)
        self._buffer.clear()
        await write_on(self._request, file, data)
        let_go(self._request, len(data))
