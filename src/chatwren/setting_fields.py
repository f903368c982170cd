"""One setting, and how its value is read: a text from the environment, or what a command or a test gives.

A reader returns the value that is meant, or raises ValueError with what is wrong, as the end of a sentence.
"""

import ipaddress
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chatwren.domain.model_names import MAX_MODEL_NAME, is_model_name

Reader = Callable[[Any], Any]

_SHOWN = 100
_TRUE, _FALSE = {"true", "1", "yes", "on", "t", "y"}, {"false", "0", "no", "off", "f", "n"}


class Field:
    """A setting as a member of its class; what an instance holds under its name goes before it.

    Attributes:
        name: of the member.
        default: its value where none is set.
        description: for people.
        secret: whether its value is shown to nobody.
    """

    def __init__(self, default: Any, description: str, read: Reader, *, secret: bool = False) -> None:
        self.name = ""
        self.default = default
        self.description = description
        self.secret = secret
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def read(self, value: object) -> Any:
        """The value that is meant.

        Raises:
            ValueError: it is none.
        """
        return None if value is None and self.default is None else self._read(value)


def text(value: object) -> str:
    """A text as it is."""
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004 - all that is wrong is said in one way
    return value


def path(value: object) -> Path:
    """A file or folder."""
    return value if isinstance(value, Path) else Path(text(value))


def whole(least: int, most: int | None = None) -> Reader:
    """A whole number within bounds."""
    return _bounded(int, "a whole number", least, most, least_itself=True)


def number(least: float = 0, most: float | None = None, *, least_itself: bool = True) -> Reader:
    """A number within bounds."""
    return _bounded(float, "a number", least, most, least_itself=least_itself)


def _bounded(kind: type, what: str, least: float, most: float | None, *, least_itself: bool) -> Reader:
    bounds = (
        f" {'of at least' if least_itself else 'greater than'} {least}" if most is None else f" from {least} to {most}"
    )

    def read(value: Any) -> Any:
        try:
            found = kind(value)
        except (TypeError, ValueError, OverflowError):
            found = math.nan
        above = found >= least if least_itself else found > least
        if not (above and math.isfinite(found) and (most is None or found <= most)):
            raise ValueError(f"must be {what}{bounds}")
        return found

    return read


def flag(value: object) -> bool:
    """Whether or not."""
    said = str(value).strip().lower()
    if said not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return said in _TRUE


def one_of(*words: str) -> Reader:
    """One of these words."""

    def read(value: object) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return read


def names(check: Callable[[str], str] = str) -> Reader:
    """A list of texts, set apart by commas, each checked and written as it is to be."""

    def read(value: Any) -> tuple[str, ...]:
        parts = (part.strip() for part in value.split(",")) if isinstance(value, str) else value
        return tuple(check(part) for part in parts if part)

    return read


def zone(value: object) -> str:
    """A time zone's name."""
    name = text(value)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"{name!r} is no time zone name such as Asia/Kolkata") from error
    return name


def address(value: object) -> str:
    """A URL of HTTP or HTTPS."""
    url = text(value)
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and " " not in url
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{_shown(url)} is no URL, which begins with https:// or http:// and a host")
    return url


def endpoint(value: object) -> str:
    """The base URL of an API, which holds no secret: addresses are logged and shown."""
    url = address(value)
    if "@" in urlsplit(url).netloc:
        raise ValueError("must not hold a user name or a password: a key has a setting of its own")
    return url


def model_name(value: object) -> str:
    """The name of a language model."""
    name = text(value)
    if not is_model_name(name):
        raise ValueError(f"must be up to {MAX_MODEL_NAME} letters, digits and signs as in llama3.2:3b")
    return name


def bearer(value: object) -> str:
    """A key that an HTTP header can carry."""
    found = text(value)
    if re.fullmatch(r"[!-~]{1,500}", found) is None:
        raise ValueError("must be up to 500 visible ASCII characters")
    return found


def picture_address(value: object) -> str:
    """A URL with a place for data."""
    url = address(value)
    if "{data}" not in url:
        raise ValueError("must contain {data}")
    return url


def origin(value: str) -> str:
    """An origin as browsers write it."""
    found = re.fullmatch(r"([a-z][a-z0-9+.-]*)://([^\s/?#@*:\[\]]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?/*", value.lower())
    if found is None:
        raise ValueError(
            f"{_shown(value)} is no origin, which is a scheme and an exact host, such as https://app.example.com"
        )
    scheme, host, port = found[1], found[2], found[3] or ""
    return f"{scheme}://{host}" + ("" if port == {"http": ":80", "https": ":443"}.get(scheme) else port)


def network(value: str) -> str:
    """An address, or a network of them."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{_shown(value)} is no address or network such as 10.0.0.0/8") from None
    return value


def store(value: object) -> str:
    """A folder, or the address of an object store."""
    url = text(value)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://|(s3|gs|az):", url)
    if scheme is not None and scheme[1] not in {"s3", "gs", "az"}:
        raise ValueError("must be a folder, or begin with s3://, gs:// or az://")
    return url


def host_and_port(value: object) -> str:
    """A host, a colon and a port."""
    both = text(value)
    found = re.fullmatch(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):([0-9]{1,5})", both)
    if found is None or int(found[1]) not in range(1, 65536):
        raise ValueError("must be host:port")
    return both


def key(value: object) -> str:
    """32 bytes in hexadecimal."""
    found = text(value)
    if re.fullmatch(r"[0-9a-fA-F]{64}", found) is None:
        raise ValueError("must be 64 hexadecimal digits")
    return found


def _shown(value: str) -> str:
    if "@" in value:  # there may be a password before it
        return "this"
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
