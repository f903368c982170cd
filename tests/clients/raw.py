"""Multipart bodies byte for byte as clients write them that are not run here.

Each is a list of fields, texts but for one file, in the form of one client: its boundary, its headers in their order
and case, its quotation marks, and how it writes a file's name.
"""

import base64
import quopri
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent: fields by name, in their order, and a file."""

    fields: Sequence[tuple[str, str]]
    file_name: str
    content: bytes
    type: str


@dataclass(frozen=True, slots=True)
class Raw:
    """A body and its Content-Type."""

    content_type: str
    body: bytes


def _joined(boundary: str, parts: Sequence[tuple[Sequence[str], bytes]], *, end: str = "\r\n") -> bytes:
    """Parts, each of the lines of its head and what it holds, as nearly all write them."""
    pieces = [
        b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary.encode(), "\r\n".join(head).encode(), content)
        for head, content in parts
    ]
    return b"".join(pieces) + f"--{boundary}--{end}".encode()


def _encoded_word(text: str) -> str:
    return text if text.isascii() else f"=?utf-8?B?{base64.b64encode(text.encode()).decode()}?="


def dotnet(sent: Sent) -> Raw:
    """HttpClient's MultipartFormDataContent of StringContent and StreamContent."""
    boundary = "0d9c2e5f-7e2b-4e0e-9d2f-0f5b8a3a6c11"

    def quoted(text: str) -> str:  # only what is no token
        return text if text.replace("-", "").replace(".", "").isalnum() and text.isascii() else f'"{text}"'

    parts: list[tuple[list[str], bytes]] = [
        (
            ["Content-Type: text/plain; charset=utf-8", f"Content-Disposition: form-data; name={quoted(name)}"],
            text.encode(),
        )
        for name, text in sent.fields
    ]
    names = f"filename={quoted(_encoded_word(sent.file_name))}; filename*=utf-8''{quote(sent.file_name, safe='')}"
    head = [f"Content-Type: {sent.type}", f"Content-Disposition: form-data; name=mediaFile; {names}"]
    return Raw(f'multipart/form-data; boundary="{boundary}"', _joined(boundary, [*parts, (head, sent.content)]))


def dotnet_bytes(sent: Sent) -> Raw:
    """The same of ByteArrayContent, which has no type."""
    whole = dotnet(sent)
    return Raw(whole.content_type, whole.body.replace(f"Content-Type: {sent.type}\r\n".encode(), b""))


def _apache(boundary: str, sent: Sent, *, charset: str, names: str) -> bytes:
    parts: list[tuple[list[str], bytes]] = [
        (
            [
                f'Content-Disposition: form-data; name="{name}"',
                f"Content-Type: text/plain; charset={charset}",
                "Content-Transfer-Encoding: 8bit",
            ],
            text.encode(charset),
        )
        for name, text in sent.fields
    ]
    head = [
        f'Content-Disposition: form-data; name="mediaFile"; {names}',
        f"Content-Type: {sent.type}",
        "Content-Transfer-Encoding: binary",
    ]
    return _joined(boundary, [*parts, (head, sent.content)])


def apache_4(sent: Sent) -> Raw:
    """HttpClient 4's MultipartEntityBuilder in its strict mode, with its own type of texts, which is Latin-1."""
    boundary = "_Dx3oY-2kq0bJ6vH4W9tZ7LrM1nC5"
    body = _apache(boundary, sent, charset="ISO-8859-1", names=f'filename="{sent.file_name}"')
    return Raw(f"multipart/form-data; boundary={boundary}", body)


def apache_5(sent: Sent) -> Raw:
    """HttpClient 5's in its extended mode, with texts in UTF-8."""
    boundary = "httpclient_boundary_3f0d4f6e-3a56-4f2a-9b1c-5f0c7f2c9f7d"
    encoded = quote(sent.file_name, safe="")
    plain = sent.file_name.encode("ascii", "replace").decode()
    names = f'filename="{plain}"; filename*="UTF-8\'\'{encoded}"'
    body = _apache(boundary, sent, charset="UTF-8", names=names)
    return Raw(f"multipart/form-data; charset=UTF-8; boundary={boundary}", body)


def spring(sent: Sent) -> Raw:
    """RestTemplate's FormHttpMessageConverter, which counts a text's characters."""
    boundary = "x8ZbUjf4Yt1hT9k2wQe6LrVnMa0cSd"
    parts: list[tuple[list[str], bytes]] = [
        (
            [
                f'Content-Disposition: form-data; name="{name}"',
                "Content-Type: text/plain;charset=UTF-8",
                f"Content-Length: {len(text)}",
            ],
            text.encode(),
        )
        for name, text in sent.fields
    ]
    word = quopri.encodestring(sent.file_name.encode(), quotetabs=True).decode().replace("=\n", "").replace(" ", "_")
    name = sent.file_name if sent.file_name.isascii() else f"=?UTF-8?Q?{word.replace('?', '=3F')}?="
    head = [
        f'Content-Disposition: form-data; name="mediaFile"; filename="{name}"',
        f"Content-Type: {sent.type}",
        f"Content-Length: {len(sent.content)}",
    ]
    return Raw(
        f"multipart/form-data;charset=UTF-8;boundary={boundary}", _joined(boundary, [*parts, (head, sent.content)])
    )


def _okhttp(sent: Sent, texts: Sequence[tuple[Sequence[str], bytes]], names: str) -> Raw:
    boundary = "3b8f0b36-9a1c-4d65-8b8e-5f6f2f9d5c0e"
    head = [f"Content-Disposition: form-data; {names}", f"Content-Type: {sent.type}"]
    head.append(f"Content-Length: {len(sent.content)}")
    return Raw(f"multipart/form-data; boundary={boundary}", _joined(boundary, [*texts, (head, sent.content)]))


def _okhttp_texts(sent: Sent, kind: str, form: bytes) -> list[tuple[list[str], bytes]]:
    texts = []
    for name, text in sent.fields:
        written = form % text.encode()
        head = [f'Content-Disposition: form-data; name="{name}"', "Content-Transfer-Encoding: binary"]
        head += [f"Content-Type: {kind}; charset=UTF-8", f"Content-Length: {len(written)}"]
        texts.append((head, written))
    return texts


def retrofit(sent: Sent) -> Raw:
    """Retrofit's @Part of texts as its scalars converter makes them, and MultipartBody.Part."""
    texts = _okhttp_texts(sent, "text/plain", b"%s")
    return _okhttp(sent, texts, f'name="mediaFile"; filename="{sent.file_name}"')


def retrofit_json(sent: Sent) -> Raw:
    """Retrofit's with a converter of JSON: texts in quotation marks. The file in the way that is older than Part."""
    texts = _okhttp_texts(sent, "application/json", b'"%s"')
    return _okhttp(sent, texts, f'name="mediaFile"; filename="{sent.file_name}" "')


def go(sent: Sent) -> Raw:
    """Go's mime/multipart: WriteField and CreateFormFile, which knows no types."""
    boundary = "0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddee"
    parts: list[tuple[list[str], bytes]] = [
        ([f'Content-Disposition: form-data; name="{name}"'], text.encode()) for name, text in sent.fields
    ]
    name = sent.file_name.replace("\\", "\\\\").replace('"', '\\"')
    head = [
        f'Content-Disposition: form-data; name="mediaFile"; filename="{name}"',
        "Content-Type: application/octet-stream",
    ]
    return Raw(f"multipart/form-data; boundary={boundary}", _joined(boundary, [*parts, (head, sent.content)]))


def dart(sent: Sent) -> Raw:
    """Dart's http, of which Flutter makes use: headers in small letters, texts with a type where they are not ASCII."""
    boundary = "dart-http-boundary-+hFDr6xM0cQvXW1a9lY7kNbPq3Ts8u2Zd4eJgL5oiRw"
    parts: list[tuple[list[str], bytes]] = []
    for name, text in sent.fields:
        head = [f'content-disposition: form-data; name="{name}"']
        if not text.isascii():
            head += ["content-type: text/plain; charset=utf-8", "content-transfer-encoding: binary"]
        parts.append((head, text.encode()))
    head = [f"content-type: {sent.type}"]
    head.append(f'content-disposition: form-data; name="mediaFile"; filename="{sent.file_name}"')
    return Raw(f"multipart/form-data; boundary={boundary}", _joined(boundary, [*parts, (head, sent.content)]))


def ruby(sent: Sent) -> Raw:
    """Ruby's multipart-post: the length of the file among the parameters of its name, blank lines at the end."""
    boundary = "-----------RubyMultipartPost-7c5d9fbd0b6a4d1d"
    parts: list[tuple[list[str], bytes]] = [
        ([f'Content-Disposition: form-data; name="{name}"'], text.encode()) for name, text in sent.fields
    ]
    head = [
        f'Content-Disposition: form-data; name="mediaFile"; filename="{sent.file_name}"',
        f"Content-Length: {len(sent.content)}",
        f"Content-Type: {sent.type}",
        "Content-Transfer-Encoding: binary",
    ]
    body = _joined(boundary, [*parts, (head, sent.content)], end="\r\n\r\n")
    return Raw(f"multipart/form-data; boundary={boundary}", body)


def perl(sent: Sent) -> Raw:
    """Perl's HTTP::Request::Common: the least that there can be, and no line end at the end."""
    boundary = "xYzZY"
    parts: list[tuple[list[str], bytes]] = [
        ([f'Content-Disposition: form-data; name="{name}"'], text.encode()) for name, text in sent.fields
    ]
    head = [
        f'Content-Disposition: form-data; name="mediaFile"; filename="{sent.file_name}"',
        f"Content-Type: {sent.type}",
    ]
    return Raw(f"multipart/form-data; boundary={boundary}", _joined(boundary, [*parts, (head, sent.content)], end=""))


def python_email(sent: Sent) -> Raw:
    """Python's email.mime, of which scripts are made that have no requests: all in base64, a name by RFC 2231."""
    boundary = "===============8105137442351218853=="
    parts: list[tuple[list[str], bytes]] = [
        (
            [
                'Content-Type: text/plain; charset="utf-8"',
                "MIME-Version: 1.0",
                "Content-Transfer-Encoding: base64",
                f'Content-Disposition: form-data; name="{name}"',
            ],
            base64.encodebytes(text.encode()),
        )
        for name, text in sent.fields
    ]
    head = [
        f"Content-Type: {sent.type}",
        "MIME-Version: 1.0",
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: form-data; name=\"mediaFile\"; filename*=utf-8''{quote(sent.file_name)}",
    ]
    content = base64.encodebytes(sent.content)
    body = _joined(boundary, [*parts, (head, content)])
    return Raw(f'multipart/form-data; boundary="{boundary}"', b"\r\n" + body)


IN_UTF_8: dict[str, Callable[[Sent], Raw]] = {
    ".NET": dotnet,
    ".NET, bytes": dotnet_bytes,
    "Apache HttpClient 5": apache_5,
    "Spring": spring,
    "Retrofit": retrofit,
    "Retrofit, JSON": retrofit_json,
    "Go": go,
    "Dart": dart,
    "Ruby": ruby,
    "Perl": perl,
    "Python's email": python_email,
}
"""Those that can send any text and any name."""
