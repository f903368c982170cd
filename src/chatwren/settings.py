"""Every setting, read from the environment (and from `.env` in the working directory) in one place."""

import hashlib
import ipaddress
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from difflib import SequenceMatcher, get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict

from chatwren.domain.errors import ChatwrenError
from chatwren.domain.pacing import USUAL, ColdCap, Pacing

Names = Annotated[tuple[str, ...], NoDecode]
_PREFIX = "CHATWREN_"
_ALIKE = 0.8
_LEAST_SECRET = 16
_OF_THE_MACHINE = (None, "localhost", "127.0.0.1", "::1")
_OF_TESTS = "CHATWREN_TEST_"
_SHOWN = 100
TYPED = "CHATWREN_TYPED"
"""Set by the Makefile: the command that a person has typed, which takes settings as NAME=value."""
_NO_SETTINGS = (TYPED, "CHATWREN_LIFELINE_FD")


class CannotStart(ChatwrenError):
    """Something about the settings or the machine that its operator has to mend. The commands print it and exit 1."""

    default_code = "cannot_start"


class Settings(BaseSettings):
    """The settings of one process. `chatwren settings` prints them with these descriptions."""

    model_config = SettingsConfigDict(
        env_prefix="CHATWREN_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="postgresql://… of a PostgreSQL >= 16. Unset: `serve` runs one of its own in the data directory.",
    )
    data_dir: Path = Field(
        Path("data"), description="Folder of the embedded PostgreSQL, media files and the sandbox's state."
    )
    media_url: str | None = Field(
        None,
        description="Where media files are kept: a folder, or s3://, gs://, az:// (its credentials as that store's own "
        "environment variables). Unset: `media` in the data directory.",
    )
    host: str | None = Field(None, description="Address that web listens on. Unset: 127.0.0.1 and ::1.")
    port: int = Field(8000, ge=0, le=65535, description="Port that web listens on.")
    drain_seconds: float = Field(
        5,
        ge=0,
        le=600,
        description="How long web serves on after SIGTERM, while /health/ready is 503, before it closes its port: a "
        "balancer has stopped sending by then. `serve`, Ctrl-C and a second SIGTERM do not wait.",
    )
    metrics_address: str | None = Field(
        None,
        description="host:port of a listener for /metrics alone. Unset: the port of web answers it, to clients on the "
        "machine itself.",
    )
    sandbox_host: str = Field(
        "127.0.0.1",
        description="Address that the sandbox's page of simulated phones listens on. "
        "Whoever reaches it reads and writes all their messages.",
    )
    sandbox_port: int = Field(8001, ge=0, le=65535, description="Port of the sandbox's page of simulated phones.")
    public_url: str | None = Field(
        None,
        description="How browsers reach Chatwren, e.g. https://wa.example.com. Unset: taken from each request. "
        "With https the session cookie is Secure.",
    )
    trusted_proxies: Names = Field((), description="Addresses or networks whose X-Forwarded-* headers count.")
    allowed_origins: Names = Field(
        (),
        description="Exact origins of other sites whose pages may use the API with the user's cookie. "
        "With `serve --sandbox` any port of localhost is allowed when this is unset.",
    )
    sandbox: bool = Field(
        default=False, description="Set by `serve --sandbox`: any localhost origin is allowed, pages say so."
    )
    registration: Literal["open", "closed"] = Field(
        "open", description="closed: nobody can register; `chatwren users create` makes users."
    )
    cookie_secrets: Names = Field(
        (),
        repr=False,
        description="Secrets of the session cookie: signs with the first, accepts all. Unset: one is made.",
    )
    cookie_samesite: Literal["lax", "strict", "none"] = Field(
        "lax", description="SameSite of the session cookie. `none` implies Secure."
    )
    qr_code_url: str | None = Field(
        None,
        description="Form of qrCodeUrl with {data} for the code, e.g. a QR service's address. It is then told the "
        "pairing secret. Unset: a picture of Chatwren's own.",
    )
    timezone: str | None = Field(
        None, description="Time zone, e.g. Asia/Kolkata, of times without one, for users who have not set theirs."
    )
    pacing_gap_seconds: float = Field(
        USUAL.gap.total_seconds(), ge=0, description="Least time between two messages of one account."
    )
    pacing_jitter_seconds: float = Field(
        USUAL.jitter.total_seconds(), ge=0, description="A random time up to this is added to each gap."
    )
    cold_first_day: int = Field(
        USUAL.cold.first,
        ge=0,
        description="New contacts (who have neither written nor been written to) that an account may write to within "
        "24 hours, on the day on which its number was linked.",
    )
    cold_growth: int = Field(
        USUAL.cold.growth, ge=0, description="How many more with each day that the number has been linked."
    )
    cold_most: int = Field(
        USUAL.cold.most, ge=0, description="The most new contacts in 24 hours, however old the account is. 0: no cap."
    )
    expire_after_hours: float = Field(
        24,
        gt=0,
        description="A message without expiresAt expires when its account could not send for so long after it was due.",
    )
    keep_messages_days: int = Field(
        365, ge=0, description="How long messages are kept after their end, and inbound ones. 0: for ever."
    )
    lease_seconds: float = Field(6, gt=0, description="How long a worker owns its accounts without renewing.")
    heartbeat_seconds: float = Field(1.5, gt=0, description="How often a worker renews its leases.")
    send_timeout_seconds: float = Field(20, gt=0, description="How long a send waits for WhatsApp's acknowledgement.")
    max_resends: int = Field(5, ge=1, description="Re-sends of a message whose outcome is unknown before it fails.")
    whatsapp_address: str | None = Field(
        None, description="host:port of a server that speaks WhatsApp's protocol without TLS. Unset: WhatsApp."
    )
    whatsapp_proxy: str | None = Field(None, description="HTTP CONNECT proxy for WhatsApp, http://host:port.")
    whatsapp_ca_file: Path | None = Field(None, description="PEM file of further certificate authorities.")
    whatsapp_root_key: str | None = Field(
        None, pattern=r"^[0-9a-fA-F]{64}$", description="Public root key (hex) of that server's certificates."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console on a terminal, else JSON."
    )

    @field_validator("trusted_proxies", "allowed_origins", "cookie_secrets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError) as error:
                raise ValueError(f"{value!r} is no time zone name such as Asia/Kolkata") from error
        return value

    @field_validator("public_url", "qr_code_url", "whatsapp_proxy")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not _is_address(value):
            raise ValueError(f"{_shown(value)} is no URL, which begins with https:// or http:// and a host")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_origin, value))

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                ipaddress.ip_network(one, strict=False)
            except ValueError:
                raise ValueError(f"{_shown(one)} is no address or network such as 10.0.0.0/8") from None
        return value

    @field_validator("media_url")
    @classmethod
    def _store(cls, value: str | None) -> str | None:
        scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://|(s3|gs|az):", value or "")
        if scheme is not None and scheme[1] not in {"s3", "gs", "az"}:
            raise ValueError("must be a folder, or begin with s3://, gs:// or az://")
        return value

    @field_validator("metrics_address", "whatsapp_address")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None:
            found = re.fullmatch(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):([0-9]{1,5})", value)
            if found is None or int(found[1]) not in range(1, 65536):
                raise ValueError("must be host:port")
        return value

    @field_validator("qr_code_url")
    @classmethod
    def _holds_data(cls, value: str | None) -> str | None:
        if value is not None and "{data}" not in value:
            raise ValueError("must contain {data}")
        return value

    @model_validator(mode="after")
    def _beats_in_time(self) -> Self:
        if self.heartbeat_seconds >= self.lease_seconds:
            raise ValueError("CHATWREN_HEARTBEAT_SECONDS must be less than CHATWREN_LEASE_SECONDS")
        return self

    @cached_property
    def metrics_listener(self) -> tuple[str, int] | None:
        """Host and port of `metrics_address`."""
        if self.metrics_address is None:
            return None
        host, _, port = self.metrics_address.rpartition(":")
        return host.strip("[]"), int(port)

    @cached_property
    def pacing(self) -> Pacing:
        """How fast accounts may write."""
        return Pacing(
            gap=timedelta(seconds=self.pacing_gap_seconds),
            jitter=timedelta(seconds=self.pacing_jitter_seconds),
            cold=ColdCap(self.cold_first_day, self.cold_growth, self.cold_most),
        )

    @cached_property
    def expire_after(self) -> timedelta:
        """Lateness at which a message without a limit of its own expires."""
        return timedelta(hours=self.expire_after_hours)

    @cached_property
    def instance_id(self) -> str:
        """Short name of this data directory: two copies of Chatwren on one machine stay apart by it."""
        return hashlib.sha256(os.fsencode(self.data_dir.resolve())).hexdigest()[:12]


def variable(name: str) -> str:
    """The environment variable of the setting of that name."""
    return "DATABASE_URL" if name == "database_url" else f"CHATWREN_{name.upper()}"


def option(name: str) -> str:
    """What changes the setting of that name, in the words of the command that was typed."""
    if (typed := os.environ.get(TYPED)) is not None:
        return f"`{typed} {name.upper()}=...`"
    return f"--{name.replace('_', '-')} ({variable(name)})"


def load_settings(**given: object) -> Settings:
    """The settings of this process; `given` (options of a command) go before the environment.

    Raises:
        CannotStart: names the variable and what is wrong with its value.
    """
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        problem = error.errors()[0]
        said = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            raise CannotStart(f"{said}.") from None
        name = str(problem["loc"][0])
        raise CannotStart(f"{name if name.isupper() else variable(name)} is not usable: {said}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"The file .env cannot be read: {error}") from None


def doubts(settings: Settings) -> Iterator[str]:
    """What about the settings is probably not what whoever made them means, a sentence each."""
    known = {variable(name).removeprefix(_PREFIX): variable(name) for name in Settings.model_fields}
    of_file = {name.upper() for name in DotEnvSettingsSource(Settings).env_vars}
    for name in sorted({name.upper() for name in os.environ} | of_file):
        said, is_ours = name.removeprefix(_PREFIX), name.startswith(_PREFIX)
        if name in known.values() or name in _NO_SETTINGS or name.startswith(_OF_TESTS):
            continue
        if not is_ours:
            prefix, _, rest = name.partition("_")
            is_like_ours = SequenceMatcher(None, f"{prefix}_", _PREFIX).ratio() > _ALIKE
            if not (is_like_ours or (name in of_file and name in known)):
                continue
            said = rest if is_like_ours else name
        close = get_close_matches(said, known, n=1)
        meant = f": did you mean {known[close[0]]}?" if close else " (`chatwren settings` lists them)."
        yield f"{name} is no setting of Chatwren{meant}"
    if settings.public_url is None and (settings.trusted_proxies or settings.host not in _OF_THE_MACHINE):
        yield (
            "CHATWREN_PUBLIC_URL is not set: addresses of QR pictures name the host of each request, behind a proxy "
            "perhaps one that browsers cannot reach."
        )
    if any(len(secret) < _LEAST_SECRET for secret in settings.cookie_secrets):
        yield f"CHATWREN_COOKIE_SECRETS holds a secret of less than {_LEAST_SECRET} characters, which can be guessed."
    if settings.cookie_samesite == "none" and (settings.public_url or "").lower().startswith("http:"):
        yield "CHATWREN_COOKIE_SAMESITE=none needs https, and CHATWREN_PUBLIC_URL says http: browsers drop the cookie."


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and " " not in text
    except ValueError:
        return False


def _origin(text: str) -> str:
    """An origin as browsers write it.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"([a-z][a-z0-9+.-]*)://([^\s/?#@*:\[\]]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?/*", text.lower())
    if found is None:
        raise ValueError(
            f"{_shown(text)} is no origin, which is a scheme and an exact host, such as https://app.example.com"
        )
    scheme, host, port = found[1], found[2], found[3] or ""
    return f"{scheme}://{host}" + ("" if port == {"http": ":80", "https": ":443"}.get(scheme) else port)


def _shown(value: str) -> str:
    if "@" in value:  # there may be a password before it
        return "this"
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
