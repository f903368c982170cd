"""Bodies in the form of clients that are not run here: .NET, Java, Retrofit, Go and others."""

from typing import Any

import pytest

from tests.clients import raw
from tests.clients.asked import Answered
from tests.clients.conftest import TO
from tests.clients.raw import IN_UTF_8, Raw, Sent
from tests.shop import Shop

TEXT = "Thank you for your order, {{name}}! Olé café, आशा, 100 % — \U0001f680"
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 40 + b"\r\n--x--\r\n"
FIELDS = [
    ("phoneId", TO),
    ("message", TEXT),
    ("lane", "urgent"),
    ("fields[name]", "Asha"),
    ("aiModifications[useSynonyms]", "true"),
    ("aiModifications.seed", "s1"),
]


def post(shop: Shop, body: Raw) -> Answered:
    answer = shop.http.post("/api/messages/send", content=body.body, headers={"content-type": body.content_type})
    return Answered(answer.status_code, answer.json())


def stored(shop: Shop, body: Raw) -> dict[str, Any]:
    return shop.message(post(shop, body).message_id)


@pytest.mark.parametrize("name", ["bill.pdf", "बिल — März 2026.pdf", "a bill (2); paid=yes.pdf", "100% off.pdf"])
@pytest.mark.parametrize("client", IN_UTF_8)
def test_all_arrives_as_it_was_meant(client: str, name: str, shop: Shop) -> None:
    found = stored(shop, IN_UTF_8[client](Sent(FIELDS, name, PDF, "application/pdf")))
    modifications = {"useSynonyms": True, "seed": "s1"}
    whole = {"phoneId": TO, "message": TEXT, "fields": {"name": "Asha"}, "aiModifications": modifications}
    assert found["message"] == shop.http.post("/api/messages/send", json=whole).json()["preview"]
    assert (found["original"], found["to"], found["lane"]) == (TEXT, TO, "urgent")
    media = found["media"]
    assert (media["fileName"], media["mimetype"], media["size"]) == (name, "application/pdf", len(PDF))
    assert shop.content(found) == PDF


def test_texts_in_the_latin_1_of_java(shop: Shop) -> None:
    fields = [("phoneId", TO), ("message", "Olé café: 5 £")]
    found = stored(shop, raw.apache_4(Sent(fields, "bill.pdf", PDF, "application/pdf")))
    assert found["message"] == "Olé café: 5 £"
    assert shop.content(found) == PDF


@pytest.mark.parametrize("client", IN_UTF_8)
def test_a_file_under_another_name_is_refused(client: str, shop: Shop) -> None:
    body = IN_UTF_8[client](Sent(FIELDS, "bill.pdf", PDF, "application/pdf"))
    answer = post(shop, Raw(body.content_type, body.body.replace(b"mediaFile", b"document1")))
    assert (answer.status, answer.body["errors"][0]["field"]) == (400, "mediaFile")
    assert "document1 came as a file. A file goes as mediaFile." in answer.body["message"]


@pytest.mark.parametrize("client", IN_UTF_8)
def test_a_body_that_breaks_off_is_refused(client: str, shop: Shop) -> None:
    body = IN_UTF_8[client](Sent(FIELDS, "bill.pdf", PDF, "application/pdf"))
    answer = post(shop, Raw(body.content_type, body.body[: -len(body.body) // 3]))
    assert answer.status == 400
    assert answer.body["code"] == "malformed_body"
    assert "mediaFile" in answer.body["message"]
