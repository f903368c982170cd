"""Who the client is, and how it reached us, when a reverse proxy stands in between."""

import ipaddress
from collections.abc import Sequence

import structlog
from litestar.types import HTTPScope, Receive, Send

from chatwren.domain.addresses import IpAddress, parse_address
from chatwren.settings import CannotStart
from chatwren.web.http.asgi import HttpApp

log = structlog.get_logger(__name__)

PROXIED = "proxied"
"""In the scope's state of a request that came by a trusted proxy."""

_MAX_HOPS = 20
_PASSED_ON = frozenset({b"x-forwarded-host", b"x-forwarded-proto", b"forwarded"})
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """Puts what trusted proxies say in X-Forwarded-For, -Proto and -Host in the place of what the socket says."""

    def __init__(self, app: HttpApp, trusted: Sequence[str], *, public_url: str | None) -> None:
        """Wrap `app`.

        Args:
            trusted: addresses or networks.
            public_url: how browsers reach us; None: that is taken from each request, and behind a proxy is perhaps
                wrong, which is logged once.

        Raises:
            CannotStart: one of `trusted` is no address or network.
        """
        self._app = app
        self._trusted = [_network(one) for one in trusted]
        self._looks_for_proxies = public_url is None

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Hand the request on as its client sent it to the first proxy."""
        if self._looks_for_proxies:
            self._look(scope)
        if self._trusted and scope["client"] and self.trusts(parse_address(scope["client"][0])):
            self._believe(scope)
        await self._app(scope, receive, send)

    def _look(self, scope: HTTPScope) -> None:
        """Warn, once, if a proxy has passed the request on: nobody has told how browsers reach that."""
        if any(name in _PASSED_ON for name, _ in scope["headers"]):
            self._looks_for_proxies = False
            log.warning(
                "web.behind_a_proxy",
                advice="A request came through a proxy, and CHATWREN_PUBLIC_URL is not set: addresses of QR pictures "
                "name the host that the proxy asked for, perhaps one that browsers cannot reach. Set it to the "
                "address that they use. Of a proxy named in CHATWREN_TRUSTED_PROXIES X-Forwarded-* count.",
            )

    def _believe(self, scope: HTTPScope) -> None:
        scope["state"][PROXIED] = True
        said: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            if name.startswith(b"x-forwarded-"):
                said[name] = f"{said[name]},{value.decode('latin-1')}" if name in said else value.decode("latin-1")
        # From the right: each proxy appends the address that it saw, and what stands further left anyone can write.
        for written in reversed(said.get(b"x-forwarded-for", "").rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]):
            address = parse_address(written.strip())
            if address is None:
                break  # whoever that was: what counts is the last proxy that we know
            scope["client"] = (str(address), 0)
            if not self.trusts(address):
                break
        scheme = said.get(b"x-forwarded-proto", "").rpartition(",")[2].strip().lower()
        if scheme in {"http", "https"}:
            scope["scheme"] = scheme
        host = said.get(b"x-forwarded-host", "").rpartition(",")[2].strip()
        if host:
            others = [header for header in scope["headers"] if header[0] != b"host"]
            scope["headers"] = [*others, (b"host", host.encode("latin-1"))]

    def trusts(self, address: IpAddress | None) -> bool:
        """Whether that is the address of a trusted proxy."""
        return address is not None and any(address in network for network in self._trusted)


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise CannotStart(f"CHATWREN_TRUSTED_PROXIES: {text!r} is no address or network such as 10.0.0.0/8.") from None
