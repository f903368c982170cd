"""Small cases that users of other products have met: docs/field-reports.md."""

import json

import httpx
import pytest

from tests.api.conftest import Person

TEXT = "Olé 😀 नमस्ते"


@pytest.fixture
def shop(alice: Person) -> httpx.Client:
    """Alice's session; her number is linked."""
    alice.link("919876543210")
    return alice.http


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/whatsapp/hold"),
        ("POST", "/api/whatsapp/release"),
        ("POST", "/api/whatsapp/logout"),
        ("DELETE", "/api/users/me/sessions"),
        ("POST", "/api/auth/logout"),
    ],
)
def test_an_empty_body_has_any_type(method: str, path: str, content_type: str, alice: Person) -> None:
    """HTTP clients that name a type for every request do so for those without a body too."""
    alice.link("919876543210")
    answer = alice.http.request(method, path, content=b"", headers={"content-type": content_type})
    assert answer.is_success, answer.text


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_json_in_each_unicode_arrives_as_it_was_meant(charset: str, shop: httpx.Client) -> None:
    body = json.dumps({"phoneId": "+919812345678", "message": TEXT}, ensure_ascii=False).encode(charset)
    answer = shop.post("/api/messages/send", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert shop.get(f"/api/messages/{answer.json()['messageId']}").json()["message"] == TEXT


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=ISO-8859-1"])
def test_json_in_no_unicode_is_refused_and_not_guessed(content_type: str, shop: httpx.Client) -> None:
    body = json.dumps({"phoneId": "+919812345678", "message": "Olé"}, ensure_ascii=False).encode("latin-1")
    answer = shop.post("/api/messages/send", content=body, headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["message"]) == (400, "The body is no UTF-8.")
