"""Why a browser may come without the session that it was given: what a 401 can tell of that."""

import re
from collections.abc import Mapping
from typing import Final, Literal

from chatwren.domain.addresses import parse_address

LOG_IN: Final = "POST /api/auth/login first, and send its cookie along."
"""What to do where nothing else is known."""

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::[0-9]{1,5})?(?:/.*)?")


def missing_session(headers: Mapping[str, str], *, samesite: Literal["lax", "strict", "none"]) -> str:
    """What to do about a request that has no session's cookie, as a sentence or two.

    Args:
        headers: of the request.
        samesite: of the cookie.
    """
    site = headers.get("sec-fetch-site")
    written = headers.get("origin") or (site and headers.get("referer")) or ""
    page = _host(written.partition("://")[2])
    asked = _host(headers.get("host", ""))
    two_names = page != asked and _is_local(page) and _is_local(asked)
    if site == "same-site":
        return 'POST /api/auth/login first. A page on another port then says credentials: "include" in each request.'
    if two_names and site in {None, "cross-site"}:
        return (
            f"The page is on {page} and asks {asked}: to a browser these are two sites, and it sends no session from "
            "one to the other. Use the same name in both."
        )
    if site == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
        where = f"on {page}, which is" if page else "of"
        way = (
            'It says credentials: "include" in each request, also that to /api/auth/login.'
            if samesite == "none"
            else "Put both on one site, or let whoever runs this server set CHATWREN_COOKIE_SAMESITE=none, over https."
        )
        return f"The page is {where} another site than {asked}: a browser sends it no session by itself. {way}"
    return LOG_IN


def _host(written: str) -> str:
    """The host in `host:port/path`; "" where there is none."""
    found = _HOST.fullmatch(written)
    return (found[1] or found[2]).lower() if found else ""


def _is_local(host: str) -> bool:
    """Whether that is a name or address of the machine itself."""
    address = parse_address(host)
    own = address is not None and (address.is_loopback or address.is_unspecified)
    return own or host == "localhost" or host.endswith(".localhost")
