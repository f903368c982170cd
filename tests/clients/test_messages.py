"""Messages with fields, objects and files, as usual clients send them: stored as they were meant, or refused."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tests.clients.asked import File
from tests.clients.conftest import TO, Ask
from tests.clients.programs import CLIENTS, Client
from tests.shop import Shop

TEXT = 'Your order "A+B & C" = 100 % ready; see\nhttps://example.com/?a=1&b=2 — आपका ऑर्डर, café \U0001f680'
ROWS = b"name,price\nSoap,20\n"
NAMES = [
    "prices.csv",
    "price list (2).csv",
    "मूल्य सूची.csv",
    "Übersicht — März.csv",
    "100%25 off.csv",
    "a+b & c; d='e'.csv",
    'say "hi".csv',
    "價目表-۲۰۲۶-\U0001f680.csv",
]
MakeFile = Callable[..., File]

everyone = pytest.mark.parametrize("client", CLIENTS, indirect=True)
each_form = pytest.mark.parametrize(
    ("client", "form"), [(name, form) for name, one in CLIENTS.items() for form in one.forms], indirect=["client"]
)


@each_form
def test_a_text(client: Client, form: Any, ask: Ask, shop: Shop) -> None:
    answer = client.send(ask(form, fields={"message": TEXT, "lane": "urgent", "unknown": "ignored"}))
    stored = shop.message(answer.message_id)
    assert (stored["to"], stored["message"], stored["lane"], stored["media"]) == (TO, TEXT, "urgent", None)


@each_form
def test_objects(client: Client, form: Any, ask: Ask, shop: Shop) -> None:
    """A client may send them as JSON, or each member as a field of its own."""
    objects: dict[str, Any] = {
        "fields": {"name": "Asha & Söhne", "orderId": "007", "first.name": "आशा"},
        "aiModifications": {"useSynonyms": True, "addEmojis": False, "shuffleSentences": False, "seed": "s1"},
    }
    text = "Thank you for your order, {{name}} ({{first.name}})! Number {{orderId}} is ready."
    answer = client.send(ask(form, fields={"message": text}, objects=objects))
    stored = shop.message(answer.message_id)
    whole = shop.http.post("/api/messages/send", json={"phoneId": TO, "message": text, **objects}).json()
    assert stored["message"] == answer.body["preview"] == whole["preview"]
    assert "Asha & Söhne (आशा)" in stored["message"]
    assert "007" in stored["message"]
    assert stored["original"] == text


@each_form
def test_what_is_wrong_is_refused_by_name(client: Client, form: Any, ask: Ask) -> None:
    answer = client.send(
        ask(
            form,
            fields={"message": "Hi {{name}}!", "scheduledTime": "tomorrow", "lane": "fast"},
            objects={"aiModifications": {"useSynonyms": "perhaps"}},
        )
    )
    assert answer.status == 400
    assert {one["field"] for one in answer.body["errors"]} == {"scheduledTime", "lane", "aiModifications.useSynonyms"}


@everyone
@pytest.mark.parametrize("name", NAMES)
def test_a_file_has_its_name(client: Client, name: str, ask: Ask, file: MakeFile, shop: Shop) -> None:
    answer = client.send(ask("multipart", files=(file(name, ROWS, type="text/csv"),)))
    stored = shop.message(answer.message_id)
    found = stored["media"]
    assert (found["fileName"], found["mimetype"], found["kind"], found["size"]) == (name, "text/csv", "document", 19)
    assert shop.content(stored) == ROWS


@everyone
def test_a_picture_with_its_caption_and_objects(client: Client, ask: Ask, file: MakeFile, shop: Shop) -> None:
    png = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(png, "PNG")
    asked = ask(
        "multipart",
        fields={"message": "For {{name}}: " + TEXT},
        objects={"fields": {"name": "Asha"}},
        files=(file("तस्वीर.png", png.getvalue()),),
    )
    stored = shop.message(client.send(asked).message_id)
    assert stored["message"] == "For Asha: " + TEXT
    assert (stored["media"]["kind"], stored["media"]["mimetype"]) == ("image", "image/png")
    assert shop.content(stored) == png.getvalue()


@everyone
def test_a_large_file(client: Client, ask: Ask, file: MakeFile, shop: Shop) -> None:
    content = b"%PDF-1.7\n" + bytes(range(256)) * 12_000 + b"\r\n--boundary\r\n"
    answer = client.send(ask("multipart", files=(file("big.pdf", content, type="application/pdf"),)))
    assert shop.content(shop.message(answer.message_id)) == content


@everyone
@pytest.mark.parametrize("field", ["file", "mediafile", "mediaFile[]", "attachment"])
def test_a_file_under_another_name_is_refused(client: Client, field: str, ask: Ask, file: MakeFile) -> None:
    one = file("prices.csv", ROWS, field=field, type="text/csv")
    answer = client.send(ask("multipart", fields={"message": "Our prices"}, files=(one,)))
    assert answer.status == 400
    assert "mediaFile" in {one["field"] for one in answer.body["errors"]}
    assert "A file goes as mediaFile." in answer.body["message"]


@everyone
def test_an_empty_file_is_refused(client: Client, ask: Ask, file: MakeFile) -> None:
    answer = client.send(ask("multipart", fields={"message": "Our prices"}, files=(file("prices.csv", b""),)))
    assert answer.status == 400
    assert answer.body["errors"] == [{"field": "mediaFile", "message": "mediaFile is an empty file."}]
