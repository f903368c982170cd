"""Which pages of other origins may use the API, and who may change things."""

from collections.abc import Callable
from http import HTTPStatus

import httpx
import pytest

from tests.api.conftest import Person
from tests.api.server import WebServer

FRONT_END = "http://localhost:3000"
LISTED = "https://shop.example.com"


@pytest.fixture
def listed(serve: Callable[..., WebServer]) -> WebServer:
    """A server that allows one origin."""
    return serve(allowed_origins=(LISTED,))


def _granted(answer: httpx.Response) -> str | None:
    value: str | None = answer.headers.get("access-control-allow-origin")
    return value


@pytest.mark.parametrize("origin", [FRONT_END, "http://127.0.0.1:5173", "http://[::1]:8080", "http://localhost"])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/users/me", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/api/users/me", 405),
        ("POST", "/api/auth/login", 400),
        ("GET", "/api/whatsapp/groups", 409),
        ("GET", "/health/live", 200),
    ],
)
def test_an_allowed_origin_reads_every_answer(origin: str, method: str, path: str, status: int, alice: Person) -> None:
    answer = alice.http.request(method, path, headers={"origin": origin, "sec-fetch-site": "cross-site"})
    assert answer.status_code == status
    assert _granted(answer) == origin
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-expose-headers"] == "Retry-After"
    assert "Origin" in answer.headers["vary"]


def test_a_401_is_readable_too(http: httpx.Client) -> None:
    answer = http.get("/api/users/me", headers={"origin": FRONT_END})
    assert (answer.status_code, _granted(answer)) == (401, FRONT_END)


def test_a_401_says_that_the_page_has_another_name_for_the_machine(server: WebServer, alice: Person) -> None:
    headers = {"origin": FRONT_END, "sec-fetch-site": "cross-site", "host": f"127.0.0.1:{server.port}"}
    with server.client(headers=headers) as client:
        refused = client.get("/api/users/me").json()
        assert (refused["status"], refused["code"]) == (401, "not_authenticated")
        assert "on localhost and asks 127.0.0.1" in refused["message"]
        plain = client.get("/api/users/me", headers={"host": "localhost", "sec-fetch-site": "same-site"}).json()
        assert "127.0.0.1" not in plain["message"]
        server.sql("DELETE FROM session")  # a cookie that came: its site is not to blame
        ended = client.get("/api/users/me", headers={"cookie": alice.cookie}).json()
        assert (ended["status"], "two sites" in ended["message"]) == (401, False)


@pytest.mark.parametrize("path", ["/api/messages/send", "/api/auth/login", "/nowhere"])
def test_a_preflight_needs_no_session(path: str, http: httpx.Client) -> None:
    answer = http.options(
        path,
        headers={
            "origin": FRONT_END,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type, idempotency-key",
        },
    )
    assert answer.status_code == 204
    assert _granted(answer) == FRONT_END
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "content-type, idempotency-key"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost.evil.example", "http://localhost:3000.evil.example", "null"]
)
def test_other_origins_get_nothing(origin: str, alice: Person) -> None:
    answer = alice.http.get("/api/users/me", headers={"origin": origin})
    assert answer.status_code == 200
    assert _granted(answer) is None
    preflight = alice.http.options(
        "/api/messages/send", headers={"origin": origin, "access-control-request-method": "POST"}
    )
    assert (preflight.status_code, _granted(preflight)) == (403, None)
    assert "CHATWREN_ALLOWED_ORIGINS" in preflight.json()["message"]


def test_a_list_replaces_localhost(listed: WebServer) -> None:
    with listed.client() as client:
        assert _granted(client.get("/health/live", headers={"origin": LISTED})) == LISTED
        assert _granted(client.get("/health/live", headers={"origin": FRONT_END})) is None
        assert _granted(client.get("/health/live", headers={"origin": LISTED + ":8443"})) is None
        assert _granted(client.get("/health/live", headers={"origin": "http://shop.example.com"})) is None


def test_an_origin_is_allowed_in_any_case(serve: Callable[..., WebServer]) -> None:
    with serve(allowed_origins=(LISTED.upper(),)).client() as client:
        for origin in (LISTED, LISTED.upper()):
            assert _granted(client.get("/health/live", headers={"origin": origin})) == origin


def test_outside_the_sandbox_no_origin_is_allowed(serve: Callable[..., WebServer]) -> None:
    with serve(sandbox=False).client() as client:
        assert _granted(client.get("/health/live", headers={"origin": FRONT_END})) is None


PASS, REFUSE = HTTPStatus.OK, HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # in this order: an allowed origin,
        ({"origin": LISTED, "sec-fetch-site": "cross-site"}, PASS),
        ({"origin": LISTED}, PASS),
        # a browser's own word,
        ({"sec-fetch-site": "same-origin", "origin": "http://elsewhere.example"}, PASS),
        ({"sec-fetch-site": "none"}, PASS),
        ({"sec-fetch-site": "same-site", "origin": "https://other.example.com"}, REFUSE),
        ({"sec-fetch-site": "cross-site"}, REFUSE),
        ({"sec-fetch-site": "cross-site", "origin": "{own}"}, REFUSE),
        ({"sec-fetch-site": "", "origin": "https://evil.example"}, REFUSE),
        # no browser,
        ({}, PASS),
        # an older browser.
        ({"origin": "{own}"}, PASS),
        ({"origin": "https://evil.example"}, REFUSE),
        ({"origin": "http://localhost:1"}, REFUSE),
        ({"origin": "https://{host}"}, REFUSE),
        ({"origin": "{host}"}, REFUSE),
        ({"origin": "null"}, REFUSE),
        ({"origin": ""}, REFUSE),
    ],
)
def test_who_may_change_things(headers: dict[str, str], status: int, alice: Person, listed: WebServer) -> None:
    host = listed.url.partition("://")[2]
    sent = {name: value.replace("{own}", listed.url).replace("{host}", host) for name, value in headers.items()}
    with listed.client(headers={"cookie": alice.cookie}) as client:
        answer = client.post("/api/auth/logout", headers=sent)
    assert answer.status_code == status
    if status == REFUSE:
        assert answer.json()["code"] == "origin_not_allowed"
        assert "CHATWREN_ALLOWED_ORIGINS" in answer.json()["message"]
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("https://wa.example.com", "localhost", PASS),
        ("https://WA.example.com:443", "localhost", PASS),
        ("http://wa.example.com", "localhost", REFUSE),
        ("http://wa.example.com", "wa.example.com", PASS),  # what the request itself was sent to
        ("http://wa.example.com:80", "wa.example.com", PASS),
        ("http://wa.example.com", "wa.example.com:80", PASS),
        ("https://wa.example.com:8443", "wa.example.com:8443", REFUSE),
    ],
)
def test_an_older_browser_names_our_origin_with_its_scheme(
    origin: str, host: str, status: int, serve: Callable[..., WebServer]
) -> None:
    with serve(public_url="https://wa.example.com/", sandbox=False).client(headers={"host": host}) as client:
        assert client.post("/api/auth/logout", headers={"origin": origin}).status_code == status


@pytest.mark.parametrize(
    "public_url", ["https://wa.example.com", "https://WA.example.com:443/", "https://wa.example.com/x"]
)
def test_the_public_origin_is_ours_whatever_host_a_proxy_sends(
    public_url: str, alice: Person, serve: Callable[..., WebServer]
) -> None:
    headers = {"cookie": alice.cookie, "origin": "https://wa.example.com"}
    with serve(public_url=public_url, sandbox=False).client(headers=headers) as client:
        for host in ("chatwren:8000", "10.0.0.7", "localhost", "wa.example.com"):
            answer = client.patch("/api/users/me", json={"timeZone": "Asia/Kolkata"}, headers={"host": host})
            assert answer.status_code == 200, host
            forged = client.patch("/api/users/me", json={}, headers={"host": host, "origin": "https://evil.example"})
            assert forged.status_code == 403, host


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/auth/register"),
        ("POST", "/api/auth/login"),
        ("POST", "/api/auth/logout"),
        ("PATCH", "/api/users/me"),
        ("POST", "/api/whatsapp/logout"),
        ("POST", "/api/whatsapp/paircode"),
        ("POST", "/api/whatsapp/release"),
        ("POST", "/api/messages/send"),
        ("POST", "/api/messages/schedule"),
        ("PATCH", "/api/messages/msg_00000000000000000000000000000000"),
        ("DELETE", "/api/messages/msg_00000000000000000000000000000000"),
    ],
)
def test_each_changing_route_is_guarded(method: str, path: str, alice: Person) -> None:
    answer = alice.http.request(method, path, json={}, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403


def test_reading_is_not_guarded(alice: Person) -> None:
    answer = alice.http.get("/api/users/me", headers={"origin": "https://evil.example", "sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert _granted(answer) is None


def test_behind_a_proxy_the_public_host_is_the_own_one(alice: Person, serve: Callable[..., WebServer]) -> None:
    web = serve(trusted_proxies=("127.0.0.1",), sandbox=False)
    headers = {
        "cookie": alice.cookie,
        "origin": "https://wa.example.com",
        "x-forwarded-host": "wa.example.com",
        "x-forwarded-proto": "https",
    }
    with web.client(headers=headers) as client:
        answer = client.post("/api/auth/logout")
    assert answer.status_code == 200
    assert "Secure" in answer.headers["set-cookie"]


def test_what_an_untrusted_client_says_of_itself_does_not_count(alice: Person) -> None:
    headers = {"origin": "https://wa.example.com", "x-forwarded-host": "wa.example.com", "x-forwarded-proto": "https"}
    answer = alice.http.post("/api/auth/logout", headers=headers)
    assert answer.status_code == 403
