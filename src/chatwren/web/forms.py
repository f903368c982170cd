"""Every form in which clients send fields: JSON, URL-encoded and multipart bodies give the same `Form`.

Multipart bodies are streamed by `multiparts`.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request

from chatwren.domain.errors import ChatwrenError, Invalid, TooLarge, UnsupportedType
from chatwren.domain.fields import Reader, shown_name
from chatwren.domain.members import base_name
from chatwren.domain.text import absent
from chatwren.web.access import body_chunks, confirm
from chatwren.web.context import HttpRequest
from chatwren.web.http.bodies import FEW_FIELDS_BYTES
from chatwren.web.multiparts import MAX_PARTS, Parts, Upload, read_parts
from chatwren.web.parts import read_options
from chatwren.web.uploads import Uploads

_MAX_STRUCTURE = 64 * 1024
"""Bytes of a JSON body besides the texts in it: what is read into more objects than it has bytes."""
_MAX_STRINGS = 2_000
_MAX_ESCAPES = 128 * 1024
"""A URL-encoded body may have so many: two for each byte of the longest message."""
_LONG = 16 * 1024
_JSON = "application/json"
_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
# One text of a JSON document, also if it does not end. Possessive: nothing is looked at twice, whatever is sent.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_LOST_PLUS = re.compile(rb"(?<==)\+(?=[0-9+()-]{7,30}(?:&|\Z))")
"""The plus of a phone number that is written as it is: read as URL-encoded, it would be a space."""


class Form(Reader):
    """The fields of a request, of which some may be files.

    Args:
        values: as a Reader's.
        files: what was given as files, for each field.
        strays: names under which files came that are not in `files`. What else they hold may be a text in `values`.
        takes: the fields that may be files.
    """

    def __init__(
        self,
        values: Mapping[str, Sequence[object]],
        files: Mapping[str, Sequence[Upload]] | None = None,
        *,
        strays: Iterable[str] = (),
        takes: Collection[str] = (),
    ) -> None:
        super().__init__(values)
        self._files = files or {}
        self._came_as_files = {base_name(name): name for name in strays}
        self._strays = dict(self._came_as_files)
        self._takes = takes

    def begin(self) -> None:
        """As a Reader's."""
        super().begin()
        self._strays = dict(self._came_as_files)

    @property
    def has_files(self) -> bool:
        """Whether there are files in fields that may be files."""
        return bool(self._files)

    def file(self, name: str) -> Upload | None:
        """The file of that field; None when absent."""
        try:
            return self._file(name)
        except Invalid as error:
            self._fail(error)
            return None

    def check(self) -> None:
        """As a Reader's. A file that nobody asked for is wrong: left out, the text would go alone."""
        for name in self._strays.values():
            shown = shown_name(name) or "A part without a name"
            takes = next(iter(self._takes), None)
            way = f"A file goes as {takes}." if takes else "This route takes no file."
            self._fail(Invalid(f"{shown} came as a file. {way}", field=takes or shown))
        super().check()

    def _one(self, name: str) -> object:
        stray = self._strays.pop(name, None) if self._strays else None
        if name in self._files or (stray is not None and name not in self._values):
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
    async with contextlib.AsyncExitStack() as stack:
        try:
            form = await _read(request, at_most, uploads, stack)
        except ChatwrenError:
            await confirm(request)
            raise
        yield form


async def _read(request: HttpRequest, at_most: int, uploads: Uploads | None, stack: contextlib.AsyncExitStack) -> Form:
    content_type, options = read_options(request.headers.get("content-type", ""))
    refuse_encoded(request)
    if content_type != _MULTIPART:
        return await _of_one_piece(request, content_type, at_most=at_most)
    parts = Parts(request, uploads, stack, at_most=at_most, charset=options.get("charset"))
    await read_parts(request, options.get("boundary", ""), parts)
    return Form(parts.values, parts.files, strays=parts.strays, takes=uploads.fields if uploads else ())


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
        pairs = parse_qsl(encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARTS)
    except ValueError:
        raise Invalid(
            f"The form is not URL-encoded UTF-8 of at most {MAX_PARTS} fields.", code="malformed_body"
        ) from None
    return Form(_gathered(pairs))


def _gathered(pairs: Iterable[tuple[str, object]]) -> dict[str, list[object]]:
    values: dict[str, list[object]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values
