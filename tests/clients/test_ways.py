"""What one client alone does, or many who use it: files without a name or a type, objects that went wrong, chunks."""

import io
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from tests.clients.asked import Answered, Asked, File
from tests.clients.conftest import TO, Ask, there
from tests.clients.programs import curl, curl_file, run
from tests.shop import Shop

PDF = b"%PDF-1.7\n" + bytes(range(256)) * 40
TEXT = "Thank you for your order, {{name}}! café आशा"
OBJECTS: dict[str, Any] = {"fields": {"name": "Asha"}, "aiModifications": {"useSynonyms": True, "seed": "s1"}}
MakeFile = Callable[..., File]

with_curl = pytest.mark.usefixtures("curl")


def media(shop: Shop, answer: Answered) -> dict[str, Any]:
    """What is stored of a message's file, whose content has come through."""
    stored = shop.message(answer.message_id)
    assert shop.content(stored) == PDF
    found: dict[str, Any] = stored["media"]
    return found


def by_node(way: str, asked: Asked) -> Answered:
    there("fetch")
    return Answered(**json.loads(run(("node", "node/ways.mjs", way), asked.text())))


@pytest.mark.parametrize(
    ("way", "name"),
    [
        ("fetch: a Blob without a name", "blob.pdf"),
        ("fetch: a Blob without name and type", "blob.pdf"),
        ("fetch: a File", "bill.pdf"),
        ("fetch: a stream whose length nobody knows", "blob.pdf"),
        ("axios: the standard's form", "bill.pdf"),
        ("axios: a Buffer", "file.pdf"),
        ("got: a form of form-data, in chunks", "bill.pdf"),
    ],
)
def test_a_file_from_node(way: str, name: str, ask: Ask, file: MakeFile, shop: Shop) -> None:
    asked = ask("multipart", fields={"message": "Our bill"}, files=(file("bill.pdf", PDF, type="application/pdf"),))
    found = media(shop, by_node(way, asked))
    assert (found["fileName"], found["mimetype"]) == (name, "application/pdf")


@pytest.mark.parametrize("way", ["axios: dots", "axios: JSON as a field", "fetch: each field a Blob"])
def test_objects_from_node(way: str, ask: Ask, shop: Shop) -> None:
    asked = ask("multipart", fields={"message": TEXT}, objects=OBJECTS)
    answer = by_node(way, asked)
    whole = shop.http.post("/api/messages/send", json={**asked.fields, **OBJECTS}).json()
    assert shop.message(answer.message_id)["message"] == answer.body["preview"] == whole["preview"]


@pytest.mark.parametrize(
    ("way", "field", "says"),
    [
        ("axios: two files", "mediaFile", "A file goes as mediaFile."),
        ("axios: a list of recipients", "phoneId", "phoneId[] is no way to give phoneId."),
        ("fetch: an object as it is", "aiModifications", "aiModifications must be a JSON object."),
    ],
)
def test_what_went_wrong_in_node_is_refused_by_name(way: str, field: str, says: str, ask: Ask, file: MakeFile) -> None:
    asked = ask("multipart", fields={"message": "Hello!"}, objects=OBJECTS, files=(file("bill.pdf", PDF),))
    answer = by_node(way, asked)
    assert answer.status == 400
    assert field in {one["field"] for one in answer.body["errors"]}
    assert says in answer.body["message"]


@with_curl
@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("mediaFile=@{path};type=application/pdf", "bill.pdf"),
        ("mediaFile=@{path}", "bill.pdf"),
        ("mediaFile=<{path};type=application/pdf", "file.pdf"),
        ("mediaFile=@{path};encoder=base64", "bill.pdf"),
        ('mediaFile=@{path};encoder=binary;headers="X-Note: ours"', "bill.pdf"),
        ('mediaFile=@{path};filename="an \\"old\\" bill; paid.pdf"', 'an "old" bill; paid.pdf'),
    ],
)
@pytest.mark.parametrize("more", [(), ("--header", "Transfer-Encoding: chunked"), ("--form-escape",)])
def test_a_file_from_curl(
    option: str, name: str, *, more: tuple[str, ...], ask: Ask, file: MakeFile, shop: Shop
) -> None:
    path = file("bill.pdf", PDF).path
    fields = ("--form", f"phoneId={TO}", "--form", option.format(path=path))
    found = media(shop, curl(ask("multipart"), *more, *fields))
    assert (found["fileName"], found["mimetype"]) == (name, "application/pdf")


@with_curl
@pytest.mark.parametrize(
    ("option", "content"),
    [
        ("message=<{path};type=text/plain; charset=iso-8859-1", "Olé café".encode("latin-1")),
        ("message=<{path};type=text/plain; charset=windows-1252", "Olé café".encode("cp1252")),
        ("message=<{path};type=text/plain", "Olé café".encode()),
        ("message=<{path};encoder=base64", "Olé café".encode()),
        ("message=@{path};type=text/plain", "Olé café".encode()),
    ],
)
def test_a_text_from_a_file_of_curl(option: str, content: bytes, ask: Ask, file: MakeFile, shop: Shop) -> None:
    path = file("text.txt", content).path
    answer = curl(ask("multipart"), "--form", f"phoneId={TO}", "--form", option.format(path=path))
    assert shop.message(answer.message_id)["message"] == "Olé café"


@with_curl
@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("mediaFile=<{path}", "mediaFile must be a file"),
        ("mediaFile={path}", "mediaFile must be a file"),
        ("mediaFile=@{path};encoder=quoted-printable", "Content-Transfer-Encoding"),
        ("document=@{path}", "A file goes as mediaFile."),
    ],
)
def test_what_went_wrong_with_curl_is_refused_by_name(option: str, says: str, ask: Ask, file: MakeFile) -> None:
    path = file("bill", PDF).path
    fields = ("--form", f"phoneId={TO}", "--form", "message=Our bill", "--form", option.format(path=path))
    answer = curl(ask("multipart"), *fields)
    assert answer.status == 400
    assert [one["field"] for one in answer.body["errors"]] == ["mediaFile"]
    assert says in answer.body["message"]


@with_curl
def test_two_files_of_curl_are_one_too_many(ask: Ask, file: MakeFile) -> None:
    files = [word for name in ("a.pdf", "b.pdf") for word in ("--form", curl_file(file(name, PDF)))]
    answer = curl(ask("multipart"), "--form", f"phoneId={TO}", *files)
    assert answer.status == 400
    assert answer.body["errors"][0]["field"] == "mediaFile"


@pytest.mark.parametrize("client", [requests, httpx])
@pytest.mark.parametrize(
    ("given", "name"),
    [
        (PDF, {"requests": "mediaFile.pdf", "httpx": "upload.pdf"}),
        (("bill.pdf", PDF), "bill.pdf"),
        (("bill.pdf", PDF, "application/octet-stream", {"Content-ID": "<1>"}), "bill.pdf"),
        ((None, PDF, "application/pdf"), "file.pdf"),
    ],
)
def test_a_file_as_python_gives_it(client: Any, given: Any, name: Any, shop: Shop) -> None:
    answer = client.post(
        f"{shop.url}/api/messages/send",
        headers={"cookie": shop.cookie},
        data={"phoneId": TO},
        files={"mediaFile": given},
        timeout=60,
    )
    found = media(shop, Answered(answer.status_code, answer.json()))
    assert found["fileName"] == (name if isinstance(name, str) else name[client.__name__])


@pytest.mark.parametrize(
    ("given", "options", "name"),
    [
        (io.BytesIO, {"content_type": "application/pdf"}, "mediaFile.pdf"),
        (io.BytesIO, {}, "mediaFile.pdf"),
        (bytes, {"filename": "a bill.pdf"}, "a bill.pdf"),
        (bytes, {"filename": "bill 100%.pdf"}, "bill 100%.pdf"),
    ],
)
async def test_a_file_as_aiohttp_gives_it(given: Any, options: dict[str, str], name: str, shop: Shop) -> None:
    form = aiohttp.FormData({"phoneId": TO})
    form.add_field("mediaFile", given(PDF), **options)
    async with (
        aiohttp.ClientSession(headers={"cookie": shop.cookie}) as session,
        session.post(f"{shop.url}/api/messages/send", data=form) as answer,
    ):
        answered = Answered(answer.status, await answer.json())
    assert media(shop, answered)["fileName"] == name
