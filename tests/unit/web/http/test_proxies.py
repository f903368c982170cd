"""Whom a request is believed to come from, when proxies stand in between."""

from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from chatwren.settings import CannotStart
from chatwren.web.http.proxies import TrustedProxies

pytestmark = pytest.mark.anyio

CLIENT, OTHER = "203.0.113.7", "198.51.100.1"
NEAR, FAR = "10.0.0.2", "10.0.0.9"


async def believed(peer: str = NEAR, **said: str | list[str]) -> tuple[str, str, list[str]]:
    """The client, scheme and hosts of a request that came from `peer` with these headers."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.update(scope)

    headers = [(b"host", b"inner.example")]
    for name, values in said.items():
        given = [values] if isinstance(values, str) else values
        headers += [(name.replace("_", "-").encode(), value.encode()) for value in given]
    scope: Any = {"client": (peer, 4711), "scheme": "http", "headers": headers, "state": {}}
    receive: Any = None
    await TrustedProxies(app, ["10.0.0.0/8"], public_url=None)(scope, receive, receive)
    hosts = [value.decode() for name, value in seen["headers"] if name == b"host"]
    return seen["client"][0], seen["scheme"], hosts


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}, {FAR}", CLIENT),  # the far proxy saw the client, the near one saw the far one
        (f"{OTHER}, {CLIENT}, {FAR}", CLIENT),  # what stands further left anyone can write
        (f"{OTHER},{CLIENT}", CLIENT),
        (FAR, FAR),
        ("", NEAR),
        ("unknown", NEAR),
        (f"{CLIENT}, unknown, {FAR}", FAR),
    ],
)
async def test_the_chain_is_read_from_the_right_up_to_who_is_no_proxy_of_ours(chain: str, client: str) -> None:
    assert (await believed(x_forwarded_for=chain))[0] == client
    assert (await believed(x_forwarded_for=chain.split(",")))[0] == client  # in as many headers


async def test_who_is_no_proxy_says_nothing_about_itself() -> None:
    said = {"x_forwarded_for": CLIENT, "x_forwarded_proto": "https", "x_forwarded_host": "evil.example"}
    assert await believed(OTHER, **said) == (OTHER, "http", ["inner.example"])
    assert await believed(NEAR, **said) == (CLIENT, "https", ["evil.example"])


@pytest.mark.parametrize(
    ("said", "scheme"), [("https", "https"), ("http, https", "https"), ("https, http", "http"), ("gopher", "http")]
)
async def test_the_scheme_is_what_the_nearest_proxy_says_if_it_is_one(said: str, scheme: str) -> None:
    assert (await believed(x_forwarded_proto=said))[1] == scheme


async def test_there_is_one_host() -> None:
    assert (await believed(x_forwarded_host="a.example, b.example"))[2] == ["b.example"]


@pytest.mark.parametrize("header", [b"x-forwarded-host", b"x-forwarded-proto", b"forwarded"])
@pytest.mark.parametrize("public_url", [None, "https://wa.example.com"])
async def test_a_proxy_without_an_address_for_browsers_is_warned_of_once(header: bytes, public_url: str | None) -> None:
    async def app(*_: Any) -> None:
        pass

    proxies, nothing = TrustedProxies(app, [], public_url=public_url), cast("Any", None)
    plain: Any = {"client": ("127.0.0.1", 4711), "scheme": "http", "headers": [(b"host", b"a")], "state": {}}
    with capture_logs() as said:
        await proxies(plain, nothing, nothing)
        assert said == []
        for _ in range(3):
            await proxies(plain | {"headers": [*plain["headers"], (header, b"x")]}, nothing, nothing)
    assert [one["event"] for one in said] == ([] if public_url else ["web.behind_a_proxy"])
    assert all("CHATWREN_PUBLIC_URL is not set" in one["advice"] for one in said)


def test_what_is_no_network_is_one_clear_line() -> None:
    with pytest.raises(CannotStart, match="CHATWREN_TRUSTED_PROXIES"):
        TrustedProxies(None, ["10.0.0.0/8", "proxy"], public_url=None)  # type: ignore[arg-type]
