"""What a part of a multipart form says of itself: whose value it is, which file, of what type, in which charset.

The `multipart` library splits the parts, and reads what browsers write. What other clients write is read here as
RFC 7578, 6266, 2231 and 2047 have it, with the standard library's own readers of the latter two (docs/adr/0002).
"""

import re
from collections.abc import Callable, Mapping
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import decode_params, unquote
from encodings.aliases import aliases
from typing import Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct
from multipart import MultipartSegment  # type: ignore[import-untyped]

UTF_8: Final = "utf-8"

_PLAIN = re.compile(r'form-data; name="[^"\\%=\x7f-\U0010ffff]*"(?:; filename="[^"\\%=\x7f-\U0010ffff]*")?')
"""What the library has read rightly: nothing in it is quoted, encoded or outside ASCII."""
# A key of few characters, since what is beyond 4,300 digits is no number to Python. Possessive: read once.
_OPTION = re.compile(r';\s*+([^\s=;"]{1,64}+)\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^;]*+)')
_ENCODED_WORDS = re.compile(r"\s*(?:=\?[\w.:-]{1,40}(?:\*[\w-]{0,20})?\?[bBqQ]\?[^?]*+\?=\s*)+")
_PERCENT_ENCODED = re.compile(r"(?:[\w.~()'!*+-]|%[0-9A-Fa-f]{2})++", re.ASCII)
_CERTAINLY = re.compile(r"%20|%[89A-Fa-f]")
_QUOTED_BY_BROWSERS = {"%0D": "\r", "%0A": "\n", "%22": '"'}

# Charsets of texts. Python also knows transformations by such names, some of them costly, and remembers each name
# that it does not know for ever.
_TEXTUAL = {
    *("utf_8", "utf_8_sig", "utf_16", "utf_16_le", "utf_16_be", "ascii", "latin_1", "koi8_r", "koi8_u", "mac_roman"),
    *(f"iso8859_{number}" for number in (*range(2, 12), *range(13, 17))),
    *(f"cp{number}" for number in (*range(1250, 1259), 437, 850, 866, 874, 932, 949)),
    *("shift_jis", "euc_jp", "iso2022_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr", "tis_620"),
}
_CODECS = {name: name for name in _TEXTUAL} | {name: codec for name, codec in aliases.items() if codec in _TEXTUAL}
# As the encodings of the web have it: what says so is a subset of what comes.
_WIDER = {"ascii": "utf_8", "utf_8": "utf_8_sig", "latin_1": "cp1252"}


class Part(Struct, frozen=True):
    """The head of a part.

    Attributes:
        name: of the field; may be empty.
        file_name: None where the part has no parameter of that kind.
        content_type: in lower case, without parameters; empty where there is none.
        charset: of a text; None where the part does not say.
        transfer: its Content-Transfer-Encoding in lower case; empty where there is none.
    """

    name: str
    file_name: str | None
    content_type: str
    charset: str | None
    transfer: str


def read_part(segment: MultipartSegment, charset: str) -> Part:
    """The head of a part.

    Args:
        segment: from a parser that takes headers as Latin-1, which any bytes are.
        charset: of what is no UTF-8 in headers.
    """
    name, file_name = segment.name, segment.filename
    # Every field of most clients has this one header.
    if (
        len(segment.headerlist) == 1
        and name
        and name.isalnum()
        and name.isascii()
        and segment.headerlist[0][1] == f'form-data; name="{name}"'
    ):
        return Part(name, None, "", None, "")
    headers = dict(segment.headerlist)
    disposition = headers["Content-Disposition"]
    if not _PLAIN.fullmatch(disposition):
        _, options = read_options(_text_of_header(disposition, charset))
        name = _parameter(options, "name")
        file_name = _parameter(options, "filename", read=_without_percents)
    transfer = headers.get("Content-Transfer-Encoding", "").strip().lower()
    return Part(name or "", file_name, segment.content_type or "", segment.charset, transfer)


def read_options(header: str) -> tuple[str, dict[str, str]]:
    """The value of a header such as Content-Type, in lower case, and its parameters without their quotation marks.

    What is not quoted ends with a semicolon alone: clients forget quotation marks around what needs them. Of a
    parameter that is there twice the first counts.
    """
    value, semicolon, _ = header.partition(";")
    options: dict[str, str] = {}
    for key, given in _OPTION.findall(header, len(value)) if semicolon else ():
        options.setdefault(key.lower(), _unquoted(given))
    return value.strip().lower(), options


def decode(data: bytes | bytearray, charset: str) -> str:
    """The text that bytes are.

    Args:
        charset: as clients name it.

    Raises:
        LookupError: there is no such charset of texts, and they are not ASCII.
        UnicodeDecodeError: they are none in it.
    """
    codec = _CODECS.get(re.sub(r"[-\s]", "_", charset.strip().lower()))
    if codec is None:
        if data.isascii():
            return data.decode()
        raise LookupError(charset)
    try:
        return data.decode(_WIDER.get(codec, codec))
    except UnicodeDecodeError:
        if codec != "latin_1":
            raise
        return data.decode(codec)  # cp1252 lacks five of its characters


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value.strip()
    inner = value[1:-1] if len(value) > 1 and value.endswith('"') else value[1:].partition('"')[0]
    return re.sub(r'\\(["\\])', r"\1", inner)


def _text_of_header(value: str, charset: str) -> str:
    """Bytes that came as Latin-1 as what they are: UTF-8, which is told by itself, else in the form's charset."""
    if value.isascii():
        return value
    data = value.encode("latin-1")
    for one in (UTF_8, charset):
        try:
            return decode(data, one)
        except (LookupError, UnicodeDecodeError):
            continue
    return decode(data, "latin-1")


def _parameter(
    options: Mapping[str, str], key: str, *, read: Callable[[str], str | None] = lambda _: None
) -> str | None:
    """A parameter by its best form: the encoded one (RFC 2231, 6266), else the plain one; None when absent.

    Args:
        read: reads a further form, of what is plain; None: it is in another.
    """
    extended = _extended(options, key)
    if extended:
        return extended
    given = options.get(key)
    if given is None:
        return extended
    if _ENCODED_WORDS.fullmatch(given):
        return _of_words(given)
    if (found := read(given)) is not None:
        return found
    for code, meant in _QUOTED_BY_BROWSERS.items():
        given = given.replace(code, meant)
    return given


def _extended(options: Mapping[str, str], key: str) -> str | None:
    """The encoded form, whole or in pieces; None when absent, empty when it cannot be read."""
    forms = [(name, value) for name, value in options.items() if name.startswith(f"{key}*")]
    if not forms:
        return None
    try:
        for name, value in decode_params([("", ""), *forms])[1:]:
            if name == key:
                charset, text = (value[0], value[2]) if isinstance(value, tuple) else (None, value)
                return decode(unquote(text).encode("latin-1"), charset or UTF_8)
    except (LookupError, TypeError, ValueError):  # of a charset, an order or an escape that is none
        return ""
    return ""


def _of_words(value: str) -> str:
    """RFC 2047's encoded words as the text that they are; as they came where they are none after all."""
    try:
        pieces = decode_header(value)
        return (
            "".join(one if isinstance(one, str) else decode(one, charset or UTF_8) for one, charset in pieces) or value
        )
    except (HeaderParseError, LookupError, ValueError):
        return value


def _without_percents(value: str) -> str | None:
    """A file's name without RFC 7578's percent-encoding; None where it need not be that: a plain `100%25` stays."""
    if not (_PERCENT_ENCODED.fullmatch(value) and _CERTAINLY.search(value)):
        return None
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        return None
