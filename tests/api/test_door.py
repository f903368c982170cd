"""A request names one of our hosts, came by a way that is known, and spells what it asks for in the one way."""

import contextlib
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chatwren.domain.errors import Invalid
from chatwren.settings import CannotStart, Settings
from chatwren.web.http.door import Hosts
from chatwren.web.server import listeners
from tests.api.conftest import Person
from tests.api.server import WebServer

PROXY = "127.0.0.1"
CLIENT = "203.0.113.7"


def _raw(server: WebServer, sent: bytes) -> bytes:
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "path",
    [
        "//metrics",
        "/metrics/",
        "/metrics//",
        "/./metrics",
        "/%6detrics",
        "/metrics%2F",
        "/metrics;x",
        "//api/users/me",
        "/api//users/me",
        "/api//users//me",
        "/api/users/me//",
        "/api/users/%6de",
        "/api%2Fusers/me",
        "/api/./users/me",
        "/api/x/../users/me",
        "/API/users/me",
        "/docs/",
        "/openapi.json/",
        "/health/live/",
        "//",
    ],
)
def test_a_path_has_one_spelling(path: str, server: WebServer, alice: Person) -> None:
    got = _raw(
        server, f"GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {alice.cookie}\r\nConnection: close\r\n\r\n".encode()
    )
    assert got.startswith(b"HTTP/1.1 404 "), got
    assert b'"code":"not_found"' in got


@pytest.mark.parametrize("path", ["/api/users/me", "/api/users/me/", "/metrics", "/docs", "/health/live"])
def test_and_that_one_is_answered(path: str, alice: Person) -> None:
    assert alice.http.get(path).status_code == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost:1\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nHost: LOCALHOST\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nHost: [::1]:8000\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nHost: 192.0.2.7\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nHost: web\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nHost: front.localhost:3000\r\n", 200),
        (b"GET /health/live HTTP/1.0\r\n", 200),
        (b"GET /health/live HTTP/1.1\r\nHost: evil.example\r\n", 421),
        (b"GET /health/live HTTP/1.1\r\nHost: evil.example:8000\r\n", 421),
        (b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n", 421),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost.evil.example\r\n", 421),
        (b"GET /health/live HTTP/1.1\r\nHost: 0x7f.1\r\n", 421),
        (b"GET /health/live HTTP/1.0\r\nHost: evil.example\r\n", 421),
        (b"POST /api/auth/logout HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n", 421),
        (b"GET /health/live HTTP/1.1\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost:\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost, evil.example\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost/x\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: user@localhost\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost:x\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: [::1\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: [1:2]\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: \xff\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: " + b"a." * 5_000 + b"a\r\n", 400),
        (b"GET http://evil.example/health/live HTTP/1.1\r\nHost: localhost\r\n", 400),
        (b"GET http://localhost/health/live HTTP/1.1\r\nHost: localhost\r\n", 400),
    ],
)
def test_whom_a_request_asks_for(head: bytes, status: int, server: WebServer) -> None:
    got = _raw(server, head + b"Connection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 %d " % status), got
    assert status == 200 or b'"success":false' in got


def test_the_public_url_is_a_name_of_ours_and_others_are_told_of_the_setting(serve: Callable[..., WebServer]) -> None:
    web = serve(public_url="https://wa.example.com/")
    with web.client() as client:
        for host in ("wa.example.com", "WA.example.com:8000", "localhost"):
            assert client.get("/health/live", headers={"host": host}).status_code == 200
        answer = client.get("/health/live", headers={"host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (421, "host_not_known")
    assert "CHATWREN_PUBLIC_URL" in answer.json()["message"]


def test_a_trusted_proxys_word_for_the_host_counts_where_no_public_url_is_set(serve: Callable[..., WebServer]) -> None:
    asked = {"host": "wa.example.com"}
    with serve(trusted_proxies=(PROXY,)).client(headers=asked) as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/live", headers={"x-forwarded-host": "a b"}).status_code == 400
    with serve(trusted_proxies=("192.0.2.1",)).client(headers=asked) as client:
        assert client.get("/health/live").status_code == 421
    with serve(trusted_proxies=(PROXY,), public_url="https://other.example.com").client(headers=asked) as client:
        assert client.get("/health/live").status_code == 421


def test_names_are_looked_at_once_and_not_kept_without_end() -> None:
    hosts = Hosts(public_url=None, host=None)
    for number in range(2_500):
        assert hosts.problem(b"h%d" % number, vouched=False) is None
    assert isinstance(hosts.problem(b"h" * 30_000, vouched=False), Invalid)
    assert len(hosts._seen) <= 1_000
    assert max(map(len, hosts._seen)) < 300


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        ({}, True),
        ({"host": "localhost"}, True),
        ({"x-forwarded-for": CLIENT}, False),
        ({"x-forwarded-proto": "https"}, False),
        ({"forwarded": "for=127.0.0.1"}, False),
        ({"via": "1.1 proxy"}, False),
        ({"x-real-ip": "127.0.0.1"}, False),
        ({"host": "evil.example"}, False),
    ],
)
def test_metrics_are_for_this_machine(given: dict[str, str], answered: bool, http: httpx.Client) -> None:  # noqa: FBT001
    assert http.get("/metrics", headers=given).is_success == answered


def test_nor_does_a_trusted_proxy_get_them(serve: Callable[..., WebServer]) -> None:
    with serve(trusted_proxies=(PROXY,)).client() as proxy:
        assert proxy.get("/metrics").status_code == 404
        assert proxy.get("/metrics", headers={"x-forwarded-for": "127.0.0.1"}).status_code == 404


def test_metrics_may_have_a_listener_of_their_own(serve: Callable[..., WebServer]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    web = serve(metrics_address=f"127.0.0.1:{port}")
    with web.client() as public, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as metrics:
        assert public.get("/metrics").status_code == 404
        assert public.get("/health/live").status_code == 200
        assert "chatwren_http_requests_total" in metrics.get("/metrics").text
        assert metrics.get("/metrics", headers={"x-forwarded-for": CLIENT}).status_code == 200
        for path in ("/health/live", "/api/users/me", "/docs", "/"):
            assert metrics.get(path).status_code == 404
        with pytest.raises(CannotStart, match="CHATWREN_METRICS_ADDRESS"):
            listeners(Settings(_env_file=None, port=0, metrics_address=f"127.0.0.1:{port}"))


def test_a_metrics_address_that_is_none_of_this_machine_is_one_clear_line() -> None:
    with pytest.raises(CannotStart, match="Cannot listen on"):
        listeners(Settings(_env_file=None, port=0, metrics_address="no-such-host.invalid:80"))


@pytest.mark.parametrize("address", ["127.0.0.1", ":9000", "127.0.0.1:0", "127.0.0.1:99999", "::1:9000", "a b:9000"])
def test_what_is_no_address_for_metrics_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATWREN_METRICS_ADDRESS", address)
    with pytest.raises(CannotStart, match="CHATWREN_METRICS_ADDRESS is not usable"):
        Settings()


def _counted(web: WebServer, **headers: Any) -> str:
    """The address by which a client with these headers is throttled."""
    heard = []
    throttle = web.server._context.throttling.password

    def listening(*given: Any, address: str, **more: Any) -> Any:
        heard.append(address)
        return throttle(*given, address=address, **more)

    web.server._context.throttling.password = listening  # type: ignore[method-assign]
    given = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    with web.client() as client:
        client.post("/api/auth/login", json={"username": "nobody", "password": "wrong"}, headers=given)
    web.server._context.throttling.password = throttle  # type: ignore[method-assign]
    (address,) = heard
    return str(address)


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}:4711", CLIENT),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"[::ffff:{CLIENT}]:4711", CLIENT),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        # A chain: each proxy adds at the right whom it saw.
        (f"198.51.100.1, {CLIENT}", CLIENT),
        (f"198.51.100.1, {CLIENT}, 10.1.2.3", CLIENT),
        (f"198.51.100.1, {CLIENT}:1, 10.1.2.3:80, [::ffff:10.9.9.9]:80", CLIENT),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
        # What is no address ends the chain: the last proxy that is known counts, whatever the client writes.
        ("", PROXY),
        ("unknown", PROXY),
        (f"{CLIENT}, unknown", PROXY),
        (f"{CLIENT}, unknown, 10.0.0.1", "10.0.0.1"),
        ("203.0.113.7:99999999", PROXY),
        ("203.0.113.007", PROXY),
        ("203.0.113.7.", PROXY),
        ("0x7f.1", PROXY),
        ("x" * 20_000, PROXY),
        (f"{CLIENT}," * 1_000, PROXY),
        (f"{CLIENT}," + "10.0.0.1," * 3_000 + "10.0.0.2", "10.0.0.1"),
    ],
)
def test_who_a_client_behind_proxies_is(written: str, counted: str, serve: Callable[..., WebServer]) -> None:
    web = serve(trusted_proxies=(PROXY, "10.0.0.0/8"))
    assert _counted(web, x_forwarded_for=written) == counted


def test_a_peer_that_is_no_trusted_proxy_says_nothing_about_itself(serve: Callable[..., WebServer]) -> None:
    web = serve(trusted_proxies=("10.0.0.0/8",))
    assert _counted(web, x_forwarded_for=CLIENT) == PROXY
