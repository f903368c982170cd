"""Pictures over HTTP: what a hostile one costs, and whom."""

import io
import os
import socket

import httpx
import pytest
from PIL import Image

from tests.api.conftest import Person
from tests.api.server import WebServer
from tests.decoding import decoding_for
from tests.unit.media.bombs import BOMBS
from tests.waiting import wait_until

FIELDS = {"phoneId": "+919876543210", "message": "Hello"}
BUSY = BOMBS["a PNG of 7200 x 7200 in one bit"]


def _photo() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (640, 480), (200, 30, 30)).save(written, "JPEG")
    return written.getvalue()


def _send(client: httpx.Client, content: bytes) -> httpx.Response:
    return client.post("/api/messages/send", data=FIELDS, files={"mediaFile": ("photo.jpg", content, "image/jpeg")})


@pytest.fixture
def shop(alice: Person) -> Person:
    alice.link("919811112222")
    return alice


def test_a_photo_is_sent_as_a_picture(shop: Person) -> None:
    answer = _send(shop.http, _photo())
    assert answer.status_code == 200, answer.text
    media = shop.http.get("/api/messages/queue").json()["messages"][0]["media"]
    assert (media["kind"], media["fileName"]) == ("image", "photo.jpg")
    assert shop.http.get(f"/api/media/{media['id']}").content == _photo()


@pytest.mark.parametrize(
    ("bomb", "says"),
    [
        ("a JPEG of 3,000 scans", "scans"),
        ("a WebP of 16383 x 16383", "pixels"),
        ("a WebP with alpha within the pixels", "memory"),
    ],
)
def test_a_bomb_goes_as_a_document_and_says_why(shop: Person, bomb: str, says: str) -> None:
    content = BOMBS[bomb]()
    answer = _send(shop.http, content)
    assert answer.status_code == 200, answer.text
    assert says in answer.json()["warnings"][0]
    media = shop.http.get("/api/messages/queue").json()["messages"][0]["media"]
    assert media["kind"] == "document"
    assert shop.http.get(f"/api/media/{media['id']}").content == content


def test_a_picture_without_its_pixels_is_refused_in_words(shop: Person) -> None:
    answer = _send(shop.http, BOMBS["a GIF of 43 bytes"]())
    assert answer.status_code == 400, answer.text
    assert "damaged" in answer.json()["message"]
    assert shop.http.get("/api/messages/queue").json()["pagination"]["total"] == 0


def test_who_leaves_ends_the_work_on_their_picture(shop: Person, server: WebServer) -> None:
    """And has a place for the next upload, however often."""
    request = httpx.Request(
        "POST", f"{server.url}/api/messages/send", data=FIELDS, files={"mediaFile": ("x.png", BUSY(), "image/png")}
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in {**request.headers, "Cookie": shop.cookie}.items())
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(f"POST /api/messages/send HTTP/1.1\r\n{head}\r\n".encode() + request.read())
            wait_until(lambda: decoding_for(os.getpid()))
        wait_until(lambda: not decoding_for(os.getpid()))
    assert _send(shop.http, _photo()).status_code == 200
    assert shop.http.get("/api/messages/queue").json()["pagination"]["total"] == 1
