"""Linking an account and its pictures, its state, and its groups. A test plays the worker's part."""

import io
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import segno
from PIL import Image

from chatwren.domain.clock import now
from chatwren.domain.ids import uuid7
from tests.api.conftest import Person
from tests.api.server import WebServer
from tests.waiting import wait_until

CODES = ("2@first", "2@second", "2@third, which is longer than the others by so much that its picture has more modules")


def _pair(person: Person, *, codes: tuple[str, ...] = CODES, begun: float = 0, each: float = 20) -> UUID:
    """A pairing that began `begun` seconds ago, whose codes are current for `each` seconds."""
    account, pairing, start = uuid7(), uuid7(), now() - timedelta(seconds=begun)
    person.server.sql("INSERT INTO account (id, user_id) VALUES ($1, $2)", account, person.id)
    listed = [
        {
            "text": text,
            "from": (start + timedelta(seconds=each * index)).isoformat(),
            "until": (start + timedelta(seconds=each * (index + 1))).isoformat(),
        }
        for index, text in enumerate(codes)
    ]
    person.server.sql(
        "INSERT INTO pairing (id, account_id, user_id, token, state, codes, expires_at)"
        " VALUES ($1, $2, $3, $4, 'waiting', $5, now() + interval '3 minutes')",
        pairing,
        account,
        person.id,
        f"token-{pairing.hex}",
        listed,
    )
    return pairing


def _end(person: Person, pairing: UUID, state: str, failure: str | None = None) -> None:
    person.server.sql(
        "UPDATE pairing SET state = $2::pairing_state, failure = $3, ended_at = now(), codes = NULL WHERE id = $1",
        pairing,
        state,
        failure,
    )


def test_the_current_code_and_where_its_picture_is(alice: Person) -> None:
    _pair(alice, begun=25)
    answer = alice.http.get("/api/whatsapp/createqr")
    assert answer.status_code == 200
    qr = answer.json()
    assert (qr["qrCode"], qr["status"]) == ("2@second", "qr")
    assert re.fullmatch(rf"{re.escape(alice.server.url)}/qr/[\w-]+/\d+\.svg", qr["qrCodeUrl"])
    assert alice.http.get("/api/whatsapp/status").json()["status"] == "qr"


def test_the_address_changes_with_each_code_and_older_ones_show_the_current(alice: Person, http: httpx.Client) -> None:
    pairing = _pair(alice)
    first = alice.http.get("/api/whatsapp/createqr").json()["qrCodeUrl"]
    before = http.get(first).text
    alice.server.sql(
        "UPDATE pairing SET codes = (SELECT jsonb_agg(jsonb_build_object('text', one->'text',"
        " 'from', (one->>'from')::timestamptz - interval '20 s', 'until', (one->>'until')::timestamptz"
        " - interval '20 s')) FROM jsonb_array_elements(codes) one) WHERE id = $1",
        pairing,
    )
    second = alice.http.get("/api/whatsapp/createqr").json()["qrCodeUrl"]
    assert first != second
    assert before.count("<path") == 3
    assert http.get(first).text.count("<path") == http.get(second).text.count("<path") == 2


def test_the_picture_needs_no_cookie_and_is_never_kept(alice: Person, http: httpx.Client) -> None:
    _pair(alice)
    url = alice.http.get("/api/whatsapp/createqr").json()["qrCodeUrl"]
    for ending, media_type in ((".svg", "image/svg+xml"), (".png", "image/png")):
        answer = http.get(url.replace(".svg", ending))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == media_type
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


def test_a_picture_is_made_once_and_who_sends_a_file_waits_for_none(
    alice: Person, bob: Person, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pair(alice, codes=("2@nobody has seen this one",))
    bob.link("919876543211")
    picture = alice.http.get("/api/whatsapp/createqr").json()["qrCodeUrl"].replace(".svg", ".png")
    made: list[str] = []
    may_end = threading.Event()
    make = segno.make_qr

    def make_when_told(text: str, **how: Any) -> Any:
        made.append(text)
        assert may_end.wait(20)
        return make(text, **how)

    monkeypatch.setattr(segno, "make_qr", make_when_told)
    with ThreadPoolExecutor(40) as crowd:
        asking = [crowd.submit(http.get, picture) for _ in range(40)]
        wait_until(lambda: made)
        files = {"mediaFile": ("a.csv", b"a,b\n", "text/csv")}
        sent = bob.http.post("/api/messages/send", data={"phoneId": "+1234567890", "message": "hello"}, files=files)
        may_end.set()
        pictures = {one.result().content for one in asking}
    assert sent.status_code == 200
    assert (len(pictures), made) == (1, ["2@nobody has seen this one"])


def test_the_png_is_the_current_code(alice: Person, http: httpx.Client) -> None:
    _pair(alice, begun=45)
    url = alice.http.get("/api/whatsapp/createqr").json()["qrCodeUrl"].replace(".svg", ".png")
    first = Image.open(io.BytesIO(http.get(url).content))
    assert first.size[0] == first.size[1] > 200
    assert first.getpixel((0, 0)) in {1, 255}


def test_the_svg_shows_each_code_in_its_time_then_says_expired(alice: Person, http: httpx.Client) -> None:
    _pair(alice, begun=5)
    svg = http.get(alice.http.get("/api/whatsapp/createqr").json()["qrCodeUrl"]).text
    spans = [(float(a), float(b)) for a, b in re.findall(r"animation:show ([\d.]+)s ([\d.]+)s\"", svg)]
    assert [begins for _, begins in spans] == pytest.approx([0, 15, 35], abs=3)
    assert [lasts for lasts, _ in spans] == pytest.approx([15, 20, 20], abs=3)
    (end,) = re.findall(r"animation:show 1s ([\d.]+)s forwards", svg)
    assert float(end) == pytest.approx(sum(spans[-1]))
    assert "Expired" in svg
    assert "2@" not in svg


@pytest.mark.parametrize(("state", "failure", "words"), [("linked", None, "Linked"), ("failed", "timeout", "Expired")])
def test_what_the_picture_says_when_the_pairing_has_ended(
    state: str, failure: str | None, words: str, alice: Person, http: httpx.Client
) -> None:
    pairing = _pair(alice)
    url = alice.http.get("/api/whatsapp/createqr").json()["qrCodeUrl"]
    _end(alice, pairing, state, failure)
    assert words in http.get(url).text
    assert Image.open(io.BytesIO(http.get(url.replace(".svg", ".png")).content)).format == "PNG"


@pytest.mark.parametrize(
    "path",
    [
        "/qr/unknown/1.svg",
        "/qr/%00/1.svg",
        "/qr/x/1.gif",
        "/qr/x/y.svg",
        "/qr/x/1",
        "/qr/x",
        "/qr/" + "x" * 300 + "/1.svg",
    ],
)
def test_other_pictures_are_not_there(path: str, http: httpx.Client) -> None:
    assert http.get(path).status_code == 404


def test_linked_is_authenticated_with_a_picture_that_says_so(alice: Person, http: httpx.Client) -> None:
    alice.link("919876543210")
    qr = alice.http.get("/api/whatsapp/createqr").json()
    assert (qr["status"], qr["qrCode"], qr["expiresAt"]) == ("authenticated", None, None)
    assert "Linked" in http.get(qr["qrCodeUrl"]).text


def test_the_form_that_the_document_prints(alice: Person, serve: Callable[..., WebServer]) -> None:
    _pair(alice, codes=("2@a/b+c,d==&x",))
    web = serve(qr_code_url="https://api.qrserver.com/v1/create-qr-code/?data={data}")
    with web.client(headers={"cookie": alice.cookie}) as client:
        url = client.get("/api/whatsapp/createqr").json()["qrCodeUrl"]
    assert url == "https://api.qrserver.com/v1/create-qr-code/?data=2%40a%2Fb%2Bc%2Cd%3D%3D%26x"


def test_absolute_addresses_name_the_public_url(alice: Person, serve: Callable[..., WebServer]) -> None:
    _pair(alice)
    with serve(public_url="https://wa.example.com/").client(headers={"cookie": alice.cookie}) as client:
        url = client.get("/api/whatsapp/createqr").json()["qrCodeUrl"]
    assert url.startswith("https://wa.example.com/qr/")


def test_it_waits_for_the_first_code(alice: Person) -> None:
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(alice.http.get("/api/whatsapp/createqr")))
    asking.start()
    wait_until(lambda: alice.server.sql("SELECT FROM pairing"))
    at = now()
    alice.server.sql(
        "UPDATE pairing SET state = 'waiting', codes = $1",
        [{"text": "2@late", "from": at.isoformat(), "until": (at + timedelta(seconds=60)).isoformat()}],
    )
    asking.join(10)
    assert answers[0].json()["qrCode"] == "2@late"


def test_without_a_worker_it_is_503_and_asking_again_joins(alice: Person) -> None:
    answer = alice.http.get("/api/whatsapp/createqr")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert alice.http.get("/api/whatsapp/status").json()["status"] == "connecting"
    assert alice.server.sql("SELECT count(*) FROM pairing") == [(1,)]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, {"status": "authenticated", "connected": True, "health": "ok", "reason": None}),
        ({"connected": False}, {"status": "authenticated", "connected": False, "health": "offline"}),
        ({"name": None}, {"status": "authenticated", "name": "+919876543210"}),
        ({"name": ""}, {"status": "authenticated", "name": "+919876543210"}),
        ({"name": None, "status": "logged_out", "connected": False}, {"name": "+919876543210"}),
        ({"restricted_until": now() + timedelta(hours=1)}, {"status": "authenticated", "health": "restricted"}),
        ({"status": "logged_out", "connected": False}, {"status": "logged_out", "connected": False, "health": None}),
        ({"status": "banned", "connected": False}, {"status": "banned", "health": None}),
    ],
)
def test_the_status(columns: dict[str, Any], expected: dict[str, Any], alice: Person) -> None:
    alice.link("919876543210", **columns)
    got = alice.http.get("/api/whatsapp/status").json()
    assert got.items() >= {"phoneNumber": "+919876543210", "name": "alice's WhatsApp", **expected}.items()


def test_the_status_before_linking(alice: Person) -> None:
    got = alice.http.get("/api/whatsapp/status").json()
    assert (got["status"], got["phoneNumber"], got["name"], got["connected"]) == ("disconnected", None, None, False)


def test_groups_as_last_known(alice: Person) -> None:
    group = {"id": "1@g.us", "name": "Family", "participants": ["+1234567890"], "size": 3}
    alice.link("919876543210", groups=[group], groups_at=now(), connected=False)
    assert alice.http.get("/api/whatsapp/groups").json() == [group]
    assert alice.http.get("/api/whatsapp/groups?refresh=true").json() == [group]
    assert alice.http.get("/api/whatsapp/groups?refresh=perhaps").status_code == 400


@pytest.mark.parametrize(("method", "path"), [("GET", "groups"), ("POST", "logout"), ("POST", "release")])
def test_what_needs_an_account_says_so(method: str, path: str, alice: Person) -> None:
    answer = alice.http.request(method, f"/api/whatsapp/{path}")
    assert (answer.status_code, answer.json()["code"]) == (409, "never_linked")
    assert "createqr" in answer.json()["message"]


def test_logging_out_asks_the_worker(alice: Person) -> None:
    alice.link("919876543210")
    assert alice.http.post("/api/whatsapp/logout").json()["success"] is True
    assert alice.server.sql("SELECT logout_wanted_at IS NOT NULL FROM account") == [(True,)]


def test_releasing_what_is_held(alice: Person) -> None:
    alice.link("919876543210", held_reason="relinked_other_number")
    assert alice.http.post("/api/whatsapp/release").status_code == 200
    assert alice.server.sql("SELECT held_reason FROM account") == [(None,)]


def test_a_code_for_the_phone(alice: Person) -> None:
    answers: list[httpx.Response] = []
    body = {"phoneNumber": "+91 98765 43210"}
    asking = threading.Thread(target=lambda: answers.append(alice.http.post("/api/whatsapp/paircode", json=body)))
    asking.start()
    wait_until(lambda: alice.server.sql("SELECT FROM pairing WHERE phone = '919876543210'"))
    alice.server.sql("UPDATE pairing SET state = 'waiting', phone_code = 'ABCD-EFGH'")
    asking.join(15)
    assert answers[0].json()["code"] == "ABCD-EFGH"


def test_a_code_for_no_phone(alice: Person) -> None:
    assert alice.http.post("/api/whatsapp/paircode", json={"phoneNumber": "x"}).status_code == 400
    alice.link("919876543210")
    answer = alice.http.post("/api/whatsapp/paircode", json={"phoneNumber": "+919876543210"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_linked")
