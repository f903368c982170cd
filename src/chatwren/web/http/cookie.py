"""The session cookie, byte for byte as express-session writes it: `connect.sid=s%3A<sid>.<signature>; Path=/; …`.

The value is `s:`, the session's id, a dot, and base64(HMAC-SHA256(id, secret)) without padding (the format of the npm
package cookie-signature), URL-encoded. Clients and middleware of that ecosystem can thus read and sign it.
"""

import base64
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote

COOKIE_NAME = "connect.sid"

_SAMESITE = {"lax": "Lax", "strict": "Strict", "none": "None"}
_NOT_ESCAPED = "!'()*"  # besides letters, digits and -_.~: what JavaScript's encodeURIComponent leaves alone
_LONGEST = 256
"""Characters. What we have written has 90."""
_EXPIRED = "Expires=Thu, 01 Jan 1970 00:00:00 GMT"


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """How session ids go into cookies and come out of them.

    Attributes:
        secrets: the first one signs, each of them is accepted; at least one.
        samesite: `none` implies Secure.
    """

    secrets: Sequence[str]
    samesite: Literal["lax", "strict", "none"] = "lax"

    def line(self, sid: str, *, secure: bool) -> str:
        """The Set-Cookie line that hands the session over. It lasts until the browser closes."""
        return self._line(quote(f"s:{sid}.{_signature(sid, self.secrets[0])}", safe=_NOT_ESCAPED), secure=secure)

    def clearing_line(self, *, secure: bool) -> str:
        """The Set-Cookie line that makes the client forget the session."""
        return self._line("", _EXPIRED, secure=secure)

    def read(self, cookie_headers: Iterable[str]) -> str | None:
        """The session id in a request's Cookie headers; None when there is none that we signed.

        The first of two cookies of the name counts: browsers send the more specific one first.
        """
        for header in cookie_headers:
            for pair in header.split(";"):
                name, _, value = pair.partition("=")
                if name.strip() == COOKIE_NAME:
                    return _unsigned(value, tuple(self.secrets)) if len(value) <= _LONGEST else None
        return None

    def _line(self, value: str, *more: str, secure: bool) -> str:
        flags = ("HttpOnly", "Secure") if secure or self.samesite == "none" else ("HttpOnly",)
        return "; ".join((f"{COOKIE_NAME}={value}", "Path=/", *more, *flags, f"SameSite={_SAMESITE[self.samesite]}"))


@lru_cache(4096)
def _unsigned(value: str, secrets: tuple[str, ...]) -> str | None:
    """The session id in a cookie's value; None unless one of the secrets has signed it."""
    value = unquote(value.strip().removeprefix('"').removesuffix('"'))
    sid, dot, signature = value.removeprefix("s:").rpartition(".")
    if not (value.startswith("s:") and dot):
        return None
    given = signature.encode()
    return sid if any(hmac.compare_digest(given, _signature(sid, secret).encode()) for secret in secrets) else None


def _signature(sid: str, secret: str) -> str:
    digest = hmac.digest(secret.encode(), sid.encode(), "sha256")
    return base64.b64encode(digest).decode().rstrip("=")
