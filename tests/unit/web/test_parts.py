"""The head of a part, as clients write it. What busboy and Django agree on is read as they do."""

import time

import pytest
from multipart import PushMultipartParser  # type: ignore[import-untyped]

from chatwren.web.parts import Part, decode, read_options, read_part

HEADS = [
    # browsers, requests, httpx, curl
    (b'form-data; name="mediaFile"; filename="a.png"', "a.png"),
    (b'form-data; name="mediaFile"; filename="\xe0\xa4\x95.png"', "क.png"),
    (b'form-data; name="mediaFile"; filename="say %22hi%22.png"', 'say "hi".png'),
    (b'form-data; name="mediaFile"; filename="100%25 off.png"', "100%25 off.png"),
    (b'form-data; name="mediaFile"; filename="100%25.png"', "100%25.png"),
    (b'form-data; name="mediaFile"; filename="say \\"hi\\"; bye.png"', 'say "hi"; bye.png'),
    (b'form-data; name="mediaFile"; filename="a=b.png"', "a=b.png"),
    (b'form-data; name="mediaFile"; filename=""', ""),
    (b'form-data; name="mediaFile"', None),
    # .NET, which names the file twice, and quotes nothing that needs no quotes
    (b"form-data; name=mediaFile; filename=a.png; filename*=utf-8''a.png", "a.png"),
    (
        b"form-data; name=mediaFile; filename=\"=?utf-8?B?4KSV4KS+LnBuZw==?=\"; filename*=utf-8''%E0%A4%95.png",
        "क.png",
    ),
    (b'form-data; name=mediaFile; filename="=?utf-8?B?4KSV4KS+LnBuZw==?="', "का.png"),
    # older requests and urllib3
    (b"form-data; name=\"mediaFile\"; filename*=utf-8''%E0%A4%95.png", "क.png"),
    (b"form-data; name=\"mediaFile\"; filename*=UTF-8'en'%e2%82%ac%20rates.png", "€ rates.png"),
    (b"form-data; name=\"mediaFile\"; filename*=iso-8859-1''%A3.png; filename=pound.png", "£.png"),
    (b"form-data; filename*=utf-8''%E0%A4%95.png; filename=\"plain.png\"; name=mediaFile", "क.png"),
    (b'form-data; name="mediaFile"; filename="plain.png"; filename*=nope\'\'%A3.png', "plain.png"),
    (b'form-data; name="mediaFile"; filename="plain.png"; filename*=utf-8\'\'%FF%FE.png', "plain.png"),
    (b'form-data; name="mediaFile"; filename="plain.png"; filename*=', "plain.png"),
    (b"form-data; name=mediaFile; filename*=nope''%A3.png", ""),
    (b"form-data; name=mediaFile; filename*=utf-8''a; filename*0=b", ""),
    # aiohttp
    (b'form-data; name="mediaFile"; filename="%E0%A4%95%20a.png"', "क a.png"),
    (b'form-data; name="mediaFile"; filename="%FF%FE.png"', "%FF%FE.png"),
    (b'form-data; name="mediaFile"; filename="say%20%22hi%22.png"', 'say "hi".png'),
    # JavaMail, and Python's email
    (b'form-data; name=mediaFile; filename*0="a very "; filename*1="long.png"', "a very long.png"),
    (b"form-data; name=mediaFile; filename*0*=utf-8''%E0%A4; filename*1*=%95.png", "क.png"),
    (b'form-data; name="mediaFile"; filename="=?ISO-8859-1?Q?caf=E9_x.png?="', "café x.png"),
    (b'form-data; name="mediaFile"; filename="=?utf-8?B?4KSV?= =?utf-8?B?LnBuZw==?="', "क.png"),
    (b'form-data; name="mediaFile"; filename="=?utf-8?B?!?="', "=?utf-8?B?!?="),
    (b'form-data; name="mediaFile"; filename="=?nope?B?4KSV?="', "=?nope?B?4KSV?="),
    (b'form-data; name="mediaFile"; filename="what=?.png"', "what=?.png"),
    # what was written by hand: Retrofit's old way to name a file, no quotes, Latin-1, a folder, capitals, repetitions
    (b'form-data; name="mediaFile"; filename="pp.png" "', "pp.png"),
    (b'form-data; name="mediaFile"; filename=my file.png', "my file.png"),
    (b'form-data; name="mediaFile"; filename="caf\xe9.png"', "café.png"),
    (b'form-data; name="mediaFile"; filename="C:\\Users\\a.png"', "C:\\Users\\a.png"),
    (b'form-data; name="mediaFile"; filename="ends so\\"', "ends so\\"),
    (b'form-data; name="mediaFile"; filename="open.png', "open.png"),
    (b'Form-Data ;NAME = "mediaFile" ; FileName="A.png"', "A.png"),
    (b'form-data; name="mediaFile"; filename="a.png"; filename="b.png"', "a.png"),
]


def head(disposition: bytes, *more: bytes, charset: str = "utf-8") -> Part:
    lines = b"\r\n".join((b"Content-Disposition: " + disposition, *more))
    parser = PushMultipartParser("x", header_charset="latin-1", max_header_size=8192)
    return read_part(next(parser.parse(b"--x\r\n" + lines + b"\r\n\r\n")), charset)


@pytest.mark.parametrize(("disposition", "file_name"), HEADS)
def test_the_name_of_a_file(disposition: bytes, file_name: str | None) -> None:
    found = head(disposition)
    assert (found.name, found.file_name) == ("mediaFile", file_name)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b"form-data; name=aiModifications[useSynonyms]", "aiModifications[useSynonyms]"),
        (b'form-data; name="=?utf-8?B?ZmllbGRzW9C40LzRj10=?="', "fields[имя]"),
        (b"form-data; name*=utf-8''fields%5B%C3%A9%5D", "fields[é]"),
        (b'form-data; name="fields[caf\xc3\xa9]"', "fields[café]"),
        (b'form-data; name="fields[a%22b]"', 'fields[a"b]'),
        (b"form-data", ""),
    ],
)
def test_the_name_of_a_field(disposition: bytes, name: str) -> None:
    assert head(disposition).name == name


def test_what_else_a_part_says() -> None:
    found = head(b'form-data; name="a"', b'content-type: Text/Plain; Charset="ISO-8859-1"', b"MIME-Version: 1.0")
    assert found == Part("a", None, "text/plain", "ISO-8859-1", "")
    assert head(b'form-data; name="a"', b"CONTENT-TRANSFER-ENCODING: Base64 ").transfer == "base64"
    assert head(b'form-data; name="a"; filename="\xef\xf0.png"', charset="windows-1251").file_name == "пр.png"


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"caf\xe9", "ISO-8859-1", "café"),
        (b"caf\xe9", "latin1", "café"),
        (b"\x80 5", "iso-8859-1", "€ 5"),
        (b"\x81\xe9", "iso-8859-1", "\x81é"),
        (b"\x80 5", "windows-1252", "€ 5"),
        (b"\xa4 5", "ISO-8859-15", "€ 5"),
        ("привет".encode("koi8_r"), "KOI8-R", "привет"),
        ("привет".encode("cp1251"), "windows-1251", "привет"),
        ("日本".encode("shift_jis"), "Shift_JIS", "日本"),
        ("中文".encode("gbk"), "GBK", "中文"),
        ("é".encode("utf-16"), "utf-16", "é"),
        ("é".encode(), "UTF8", "é"),
        ("é".encode(), "us-ascii", "é"),
        (b"\xef\xbb\xbf\xc3\xa9", "utf-8", "é"),
    ],
)
def test_a_charset(data: bytes, charset: str, text: str) -> None:
    assert decode(data, charset) == text


@pytest.mark.parametrize(
    "charset", ["rot13", "zlib", "idna", "punycode", "utf-7", "u7", "unicode_escape", "x" * 9, "", "é"]
)
def test_what_is_no_charset_of_texts(charset: str) -> None:
    with pytest.raises(LookupError):
        decode(b"\xe9", charset)


def test_a_boundary_needs_no_quotation_marks() -> None:
    given = "multipart/form-data; boundary=----=_Part_1_2.3; charset=ISO-8859-1"
    assert read_options(given) == (
        "multipart/form-data",
        {"boundary": "----=_Part_1_2.3", "charset": "ISO-8859-1"},
    )
    assert read_options('Multipart/Form-Data;boundary="a;b"')[1] == {"boundary": "a;b"}


def test_a_head_written_to_cost_is_read_at_once() -> None:
    began = time.process_time()
    for part in (
        b"; filename*" + b"9" * 4000 + b"=x",
        b"; a" * 2700,
        b'; a="' + b"\\" * 4001,
        b"; filename=" + b"%20" * 2700,
    ):
        head(b"form-data" + part)
    head(b'form-data; filename="' + b"=?a?B??= " * 900 + b'"')
    head(b"form-data" + b"".join(b"; filename*%d=x" % number for number in range(500)))
    assert time.process_time() - began < 1
