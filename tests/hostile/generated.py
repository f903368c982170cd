"""Messages by chance, right ones and wrong ones, and the many ways to write the same one in a body.

What a message means is known before it is written, so that the answer is known, too: it is stored as it was meant, or
refused, and then by the name of each field that is wrong.
"""

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from chatwren.domain.text import is_blank
from chatwren.media.recognise import safe_file_name

BOUNDARY = "----chance7MA4YWxkTrZu0gW"
FILE = "mediaFile"

# Neither a placeholder's nor an alternative's, and no control that a text in Latin-1 means otherwise.
_plain = st.characters(codec="utf-8", exclude_characters="{}|\\\ufeff", exclude_categories=("Cs", "Cc"))
# Nor what says that there is nothing, as forms, programs and formulas write it, nor what cannot be seen.
_NOTHING = {"", "null", "undefined", "nan", "none", "nat", "<na>", "n/a", "\\n", "1.#ind", "1.#qnan"}
_words = st.text(_plain, min_size=1, max_size=40).filter(
    lambda text: not is_blank(text) and text.strip()[0] != "#" and text.strip().lower().lstrip("-") not in _NOTHING
)
_texts = st.one_of(_words, st.lists(_words, min_size=2, max_size=3).map("\n".join))
_names = st.text(st.characters(categories=("Lu", "Ll", "Lo", "Nd")), min_size=1, max_size=12)


@dataclass(frozen=True, slots=True)
class File:
    """A file to send along: a PDF, whose content passes as it is."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Meant:
    """A message.

    Attributes:
        to: the recipient as the API shows it.
        fields: what was given for each field of ours: a text, or an object whose members are texts.
        text: that is to go out, of a message that is right.
        due: when, as the API shows it; None: at once.
        wrong: the fields that are.
        strays: the names of files under names that take none.
    """

    to: str
    fields: dict[str, Any]
    text: str
    due: str | None
    lane: str
    file: File | None
    wrong: frozenset[str]
    strays: tuple[str, ...] = ()


_WRONG: dict[str, list[tuple[Any, str]]] = {
    "phoneId": [("12", "phoneId"), ("abc", "phoneId"), ("", "phoneId"), ("9" * 40, "phoneId")],
    "scheduledTime": [("tomorrow", "scheduledTime"), ("2030-13-01", "scheduledTime"), ("{}", "scheduledTime")],
    "expiresAt": [("never", "expiresAt"), ("2030-02-30T00:00", "expiresAt")],
    "lane": [("fast", "lane"), ("URGENT ", "lane")],
    "aiModifications": [
        ("{", "aiModifications"),
        ("[]", "aiModifications"),
        ({"useSynonyms": "perhaps"}, "aiModifications.useSynonyms"),
        ({"seed": "s" * 201}, "aiModifications.seed"),
    ],
    "fields": [("[1]", "fields"), ("name=Asha", "fields"), ({"name": "x" * 16_385}, "fields.name")],
}
"""Values that are wrong, and the field that a refusal names."""


@st.composite
def messages(draw: st.DrawFn, *, files: bool) -> Meant:
    """A message, wrong in some fields or in none."""
    digits = draw(st.sampled_from(["919812345678", "447911123456", "12025550123", "393331234567"]))
    text = draw(_texts)
    fields: dict[str, Any] = {"phoneId": f"+{digits}", "message": text}
    due, lane = None, "normal"
    if draw(st.booleans()):
        at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=draw(st.integers(10, 500_000)))
        fields["scheduledTime"], due = at.isoformat(), f"{at:%Y-%m-%dT%H:%M:%S}.000Z"
    if draw(st.booleans()):
        fields["lane"] = lane = draw(st.sampled_from(["urgent", "normal", "bulk"]))
    if draw(st.booleans()):
        # What no text mentions may come along; what one mentions is filled.
        fields["fields"] = draw(st.dictionaries(_names, _words, min_size=1, max_size=3))
        name = next(iter(fields["fields"]))
        fields["message"], text = f"{text} {{{{{name}}}}}", f"{text} {fields['fields'][name]}"
    if draw(st.booleans()):
        fields["aiModifications"] = {"useSynonyms": draw(st.sampled_from(["false", "0", "off"])), "seed": draw(_words)}
    wrong = set()
    for name in draw(st.lists(st.sampled_from(sorted(_WRONG)), unique=True, max_size=2)) if draw(st.booleans()) else ():
        fields[name], field = draw(st.sampled_from(_WRONG[name]))
        wrong.add(field)
    file: File | None = None
    strays: tuple[str, ...] = ()
    if files and draw(st.booleans()):
        file = File(draw(_file_names), b"%PDF-1.7\n" + draw(st.binary(max_size=300)))
    if files and draw(st.integers(0, 5)) == 0:
        strays = (draw(st.sampled_from(["file", "mediaFile[]", "mediaFile[0]", "mediafile", "attachment"])),)
        wrong.add(FILE)
    return Meant(f"+{digits}", fields, text, due, lane, file, frozenset(wrong), strays)


_file_names = st.text(
    st.characters(codec="utf-8", exclude_characters='"\\/%=?;\ufeff', exclude_categories=("Cs", "Cc", "Cn", "Co")),
    min_size=1,
    max_size=30,
).map(lambda name: f"{name}.pdf")


def kept_name(file: File) -> str:
    """The name under which a file is kept."""
    return safe_file_name(file.name, "pdf")


# --- as fields of forms ---


@st.composite
def pairs(draw: st.DrawFn, meant: Meant) -> list[tuple[str, str]]:
    """The fields as names and texts, in any order: objects as JSON or by their members, among fields of nobody."""
    found: list[tuple[str, str]] = []
    for name, value in meant.fields.items():
        if not isinstance(value, dict):
            found.append((name, value))
        elif draw(st.booleans()):
            found.append(
                (f"{name}{draw(st.sampled_from(['', '{}']))}", json.dumps(value, ensure_ascii=draw(st.booleans())))
            )
        else:
            found += [(draw(st.sampled_from(ways(name, member))), one) for member, one in value.items()]
    for name in ("expiresAt", "scheduledTime", "lane", FILE):
        if name not in meant.fields and not (name == FILE and meant.file) and draw(st.integers(0, 4)) == 0:
            found.append((name, draw(st.sampled_from(["", "null", "undefined"]))))
    found += draw(st.lists(st.tuples(_names.map(lambda name: f"x{name}"), _words), max_size=2))
    if draw(st.integers(0, 3)) == 0:
        found.append(draw(st.sampled_from(found)))  # the same, twice
    return draw(st.permutations(found))


def ways(name: str, member: str) -> list[str]:
    """The names of a member of an object in forms."""
    return [f"{name}[{member}]", f"{name}.{member}"]


def urlencoded(given: list[tuple[str, str]]) -> bytes:
    """A URL-encoded body."""
    return urlencode(given).encode()


@st.composite
def multipart(draw: st.DrawFn, meant: Meant) -> bytes:
    """A multipart body with that boundary, with headers as one or another client writes them."""
    parts = [draw(_field(name, text)) for name, text in draw(pairs(meant))]
    if meant.file:
        parts.append(draw(_file(FILE, meant.file)))
    parts += [draw(_file(name, File("a.pdf", b"%PDF-1.7\n"))) for name in meant.strays]
    body = b"".join(b"--%s\r\n%s\r\n" % (BOUNDARY.encode(), part) for part in draw(st.permutations(parts)))
    before = draw(st.sampled_from([b"", b"\r\n", b"This is a message of parts.\r\n"]))
    after = draw(st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]))
    return before + body + f"--{BOUNDARY}--".encode() + after


@st.composite
def _field(draw: st.DrawFn, name: str, text: str) -> bytes:
    spelt = [f'name="{_escaped(name)}"', f"name*=utf-8''{quote(name, safe='')}"]
    if re.fullmatch(r"[\w.\[\]]+", name, re.ASCII):
        spelt.append(f"name={name}")
    disposition = f"Content-Disposition: form-data; {draw(st.sampled_from(spelt))}"
    if name == FILE:  # with a type it would be one
        return _part([disposition], text.encode(), base64_too=False)
    if draw(st.integers(0, 3)) == 0:
        disposition = disposition.replace("Content-Disposition: form-data;", "content-disposition:Form-Data ;")
    charset, content = draw(st.sampled_from(list(_charsets(text))))
    head = [disposition]
    if charset is not None:
        head.append(f"Content-Type: text/plain; charset={charset}")
    elif draw(st.booleans()):
        head.append(draw(st.sampled_from(["Content-Type: text/plain", "Content-Type: application/octet-stream"])))
    elif draw(st.integers(0, 3)) == 0:
        head.append("Content-Type: application/json; charset=utf-8")
        content = json.dumps(text, ensure_ascii=draw(st.booleans())).encode()
    if draw(st.integers(0, 3)) == 0:
        head.append(f"Content-Length: {len(text)}")
    return _part(draw(st.permutations(head)), content, base64_too=draw(st.booleans()))


@st.composite
def _file(draw: st.DrawFn, field: str, file: File) -> bytes:
    word = f"=?utf-8?B?{base64.b64encode(file.name.encode()).decode()}?="
    encoded = f"filename*=utf-8''{quote(file.name, safe='')}"
    names = [f'filename="{file.name}"', encoded, f'filename="{word}"; {encoded}', f'filename="x.pdf"; {encoded}']
    names += [f'filename="{word}"']
    head = [f'Content-Disposition: form-data; name="{field}"; {draw(st.sampled_from(names))}']
    head += draw(st.sampled_from([[], ["Content-Type: application/pdf"], ["Content-Type: application/octet-stream"]]))
    return _part(draw(st.permutations(head)), file.content, base64_too=draw(st.booleans()))


def _escaped(name: str) -> str:
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _charsets(text: str) -> Iterator[tuple[str | None, bytes]]:
    yield None, text.encode()
    yield "UTF-8", text.encode()
    for charset in ("iso-8859-1", "windows-1252", "utf-16", "gb18030", "koi8-r"):
        try:
            yield charset, text.encode(charset)
        except UnicodeEncodeError:
            continue


def _part(head: list[str], content: bytes, *, base64_too: bool) -> bytes:
    if base64_too:
        head, content = [*head, "Content-Transfer-Encoding: base64"], base64.encodebytes(content)
    return b"%s\r\n\r\n%s" % ("\r\n".join(head).encode(), content)


# --- as JSON, and as rows ---


@st.composite
def members(draw: st.DrawFn, meant: Meant) -> dict[str, Any]:
    """The fields as members of a JSON object."""
    found: dict[str, Any] = {}
    for name, value in meant.fields.items():
        if isinstance(value, dict) and draw(st.integers(0, 2)) == 0:
            found |= {draw(st.sampled_from(ways(name, member))): one for member, one in value.items()}
        elif isinstance(value, dict) and draw(st.integers(0, 2)) == 0:
            found[name] = json.dumps(value)
        else:
            found[name] = value
    if found["phoneId"] == meant.to and draw(st.booleans()):
        found["phoneId"] = int(meant.to)
    for name in draw(st.lists(_names.map(lambda name: f"x{name}"), max_size=2)):
        found[name] = draw(anything)
    return dict(draw(st.permutations(list(found.items()))))


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.text(max_size=8), below, max_size=3)),
    max_leaves=8,
)
"""Any JSON value."""


@st.composite
def table(draw: st.DrawFn, rows: list[Meant]) -> bytes:
    """A CSV file of these messages, in columns of any order, as one or another program writes it."""
    of_rows = [draw(_columns(meant)) for meant in rows]
    columns = draw(st.permutations(sorted({name for one in of_rows for name in one})))
    separator = draw(st.sampled_from(",;\t"))
    spelt = {"phoneId": draw(st.sampled_from(["phoneId", "PHONEID", " phoneid "]))}
    file = io.StringIO()
    quoting: Any = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer = csv.writer(
        file, delimiter=separator, quoting=quoting, lineterminator=draw(st.sampled_from(["\n", "\r\n"]))
    )
    if draw(st.integers(0, 3)) == 0:
        file.write(f"sep={separator}\r\n")
    writer.writerow([spelt.get(name, name) for name in columns])
    for one in of_rows:
        writer.writerow([one.get(name, "") for name in columns])
        if draw(st.integers(0, 5)) == 0:
            file.write(separator * (len(columns) - 1) + "\r\n")
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + file.getvalue().encode()


@st.composite
def _columns(draw: st.DrawFn, meant: Meant) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in meant.fields.items():
        if not isinstance(value, dict):
            found[name] = value
        elif draw(st.booleans()):
            found[name] = json.dumps(value, ensure_ascii=False)
        elif draw(st.booleans()):
            found |= {draw(st.sampled_from(ways(name, member))): one for member, one in value.items()}
        else:
            found |= value  # columns of their own
    return found


# --- what nobody means ---


@st.composite
def damaged(draw: st.DrawFn, body: bytes) -> bytes:
    """A body of which some bytes were lost, changed or added."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        until = min(len(body), at + draw(st.sampled_from([0, 1, 2, 8, 200])))
        body = body[:at] + draw(_PIECES) + body[until:]
    return body


_PIECES = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([
        *(b"\r\n", b"\n", b"\0", b'"', b"\\", b"%", b"%00", b"%f0", b"\xff", b"=", b";", b"'", b"[", b"]", b".", b"*"),
        *(b"\r\n\r\n", f"--{BOUNDARY}".encode(), f"\r\n--{BOUNDARY}\r\n".encode(), f"--{BOUNDARY}--".encode()),
        *(b"; filename", b"; filename*=", b"; filename*0*=", b"; filename*99999999999999999999=x"),
        *(b"Content-Disposition: form-data", b"Content-Type: text/plain; charset=", b"Content-Length: -1\r\n"),
        *(b"; name=", b"=?utf-8?Q?", b"Content-Transfer-Encoding: base64\r\n", b"charset=rot13"),
        *( b"charset=utf-7", b"charset=idna", b"utf-16", b"9" * 400, b"\xed\xa0\x80"),
        *(b"{", b"}", b"[[[[", b'{"a":' * 20, b"1e999", b"-0", b"NaN", b"\\ud800", b"\\u0000"),
        *(b"{{", b"}}", b"{a|b}", b"null", b"undefined", b"sep=;", b"nan", b"\xef\xbb\xbf", b"\xff\xfe", b'"",""'),
    ]),
)  # fmt: skip
