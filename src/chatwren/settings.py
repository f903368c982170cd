"""Every setting, read from the environment (and from `.env` in the working directory) in one place."""

import hashlib
import os
from collections.abc import Iterator
from datetime import timedelta
from difflib import SequenceMatcher, get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from chatwren import setting_fields as read
from chatwren.domain.errors import ChatwrenError
from chatwren.domain.pacing import USUAL, ColdCap, Pacing
from chatwren.setting_fields import Field

_PREFIX = "CHATWREN_"
_FILE = ".env"
_ALIKE = 0.8
_LEAST_SECRET = 16
_OF_THE_MACHINE = (None, "localhost", "127.0.0.1", "::1")
_OF_TESTS = "CHATWREN_TEST_"
TYPED = "CHATWREN_TYPED"
"""Set by the Makefile: the command that a person has typed, which takes settings as NAME=value."""
_NO_SETTINGS = (TYPED, "CHATWREN_LIFELINE_FD")


class CannotStart(ChatwrenError):
    """Something about the settings or the machine that its operator has to mend. The commands print it and exit 1."""

    default_code = "cannot_start"


def _set(default: Any, reader: read.Reader, description: str, *, secret: bool = False) -> Any:
    return Field(default, description, reader, secret=secret)


class Settings:
    """The settings of one process. `chatwren settings` prints them with these descriptions.

    Args:
        _env_file: names and values for what the environment does not set; None: there is none.
        given: values that go before the environment. None is one for what may be unset.

    Attributes:
        fields: every setting by its name.
        chosen: the names of those that somebody has set.

    Raises:
        CannotStart: names the variable and what is wrong with its value.
    """

    fields: ClassVar[dict[str, Field]]
    chosen: frozenset[str]

    database_url: str | None = _set(
        None,
        read.text,
        "postgresql://… of a PostgreSQL >= 16. Unset: `serve` runs one of its own in the data directory.",
    )
    data_dir: Path = _set(
        Path("data"), read.path, "Folder of the embedded PostgreSQL, media files and the sandbox's state."
    )
    media_url: str | None = _set(
        None,
        read.store,
        "Where media files are kept: a folder, or s3://, gs://, az:// (its credentials as that store's own "
        "environment variables). Unset: `media` in the data directory.",
    )
    host: str | None = _set(None, read.text, "Address that web listens on. Unset: 127.0.0.1 and ::1.")
    port: int = _set(8000, read.whole(0, 65535), "Port that web listens on.")
    drain_seconds: float = _set(
        5,
        read.number(0, 600),
        "How long web serves on after SIGTERM, while /health/ready is 503, before it closes its port: a "
        "balancer has stopped sending by then. `serve`, Ctrl-C and a second SIGTERM do not wait.",
    )
    metrics_address: str | None = _set(
        None,
        read.host_and_port,
        "host:port of a listener for /metrics alone. Unset: the port of web answers it, to clients on the "
        "machine itself.",
    )
    sandbox_host: str = _set(
        "127.0.0.1",
        read.text,
        "Address that the sandbox's page of simulated phones listens on. "
        "Whoever reaches it reads and writes all their messages.",
    )
    sandbox_port: int = _set(8001, read.whole(0, 65535), "Port of the sandbox's page of simulated phones.")
    public_url: str | None = _set(
        None,
        read.address,
        "How browsers reach Chatwren, e.g. https://wa.example.com. Unset: taken from each request. "
        "With https the session cookie is Secure.",
    )
    trusted_proxies: tuple[str, ...] = _set(
        (), read.names(read.network), "Addresses or networks whose X-Forwarded-* headers count."
    )
    allowed_origins: tuple[str, ...] = _set(
        (),
        read.names(read.origin),
        "Exact origins of other sites whose pages may use the API with the user's cookie. "
        "With `serve --sandbox` any port of localhost is allowed when this is unset.",
    )
    sandbox: bool = _set(False, read.flag, "Set by `serve --sandbox`: any localhost origin is allowed, pages say so.")
    registration: Literal["open", "closed"] = _set(
        "open", read.one_of("open", "closed"), "closed: nobody can register; `chatwren users create` makes users."
    )
    cookie_secrets: tuple[str, ...] = _set(
        (),
        read.names(),
        "Secrets of the session cookie: signs with the first, accepts all. Unset: one is made.",
        secret=True,
    )
    cookie_samesite: Literal["lax", "strict", "none"] = _set(
        "lax", read.one_of("lax", "strict", "none"), "SameSite of the session cookie. `none` implies Secure."
    )
    qr_code_url: str | None = _set(
        None,
        read.picture_address,
        "Form of qrCodeUrl with {data} for the code, e.g. a QR service's address. It is then told the "
        "pairing secret. Unset: a picture of Chatwren's own.",
    )
    timezone: str | None = _set(
        None, read.zone, "Time zone, e.g. Asia/Kolkata, of times without one, for users who have not set theirs."
    )
    rewriter_url: str | None = _set(
        None,
        read.endpoint,
        "Base URL of an OpenAI-compatible API whose language model rewords messages when an author asks for it, e.g. "
        "http://127.0.0.1:11434/v1 of a local Ollama. It is told the text without its facts and names. Unset: none is.",
    )
    rewriter_model: str | None = _set(None, read.model_name, "Name of that model, as its API knows it.")
    rewriter_key: str | None = _set(
        None, read.bearer, "Key of that API, where it wants one: sent as a bearer token.", secret=True
    )
    pacing_gap_seconds: float = _set(
        USUAL.gap.total_seconds(), read.number(), "Least time between two messages of one account."
    )
    pacing_jitter_seconds: float = _set(
        USUAL.jitter.total_seconds(), read.number(), "A random time up to this is added to each gap."
    )
    cold_first_day: int = _set(
        USUAL.cold.first,
        read.whole(0),
        "New contacts (who have neither written nor been written to) that an account may write to within "
        "24 hours, on the day on which its number was linked.",
    )
    cold_growth: int = _set(
        USUAL.cold.growth, read.whole(0), "How many more with each day that the number has been linked."
    )
    cold_most: int = _set(
        USUAL.cold.most, read.whole(0), "The most new contacts in 24 hours, however old the account is. 0: no cap."
    )
    expire_after_hours: float = _set(
        24,
        read.number(least_itself=False),
        "A message without expiresAt expires when its account could not send for so long after it was due.",
    )
    keep_messages_days: int = _set(
        365, read.whole(0), "How long messages are kept after their end, and inbound ones. 0: for ever."
    )
    lease_seconds: float = _set(
        6, read.number(least_itself=False), "How long a worker owns its accounts without renewing."
    )
    heartbeat_seconds: float = _set(1.5, read.number(least_itself=False), "How often a worker renews its leases.")
    send_timeout_seconds: float = _set(
        20, read.number(least_itself=False), "How long a send waits for WhatsApp's acknowledgement."
    )
    max_resends: int = _set(5, read.whole(1), "Re-sends of a message whose outcome is unknown before it fails.")
    whatsapp_address: str | None = _set(
        None, read.host_and_port, "host:port of a server that speaks WhatsApp's protocol without TLS. Unset: WhatsApp."
    )
    whatsapp_proxy: str | None = _set(None, read.address, "HTTP CONNECT proxy for WhatsApp, http://host:port.")
    whatsapp_ca_file: Path | None = _set(None, read.path, "PEM file of further certificate authorities.")
    whatsapp_root_key: str | None = _set(None, read.key, "Public root key (hex) of that server's certificates.")
    log_level: Literal["debug", "info", "warning", "error"] = _set(
        "info", read.one_of("debug", "info", "warning", "error"), "Least severity that is logged."
    )
    log_format: Literal["auto", "console", "json"] = _set(
        "auto", read.one_of("auto", "console", "json"), "auto: console on a terminal, else JSON."
    )

    def __init__(self, *, _env_file: str | None = _FILE, **given: Any) -> None:
        if unknown := given.keys() - self.fields.keys():
            raise TypeError(f"no settings: {', '.join(sorted(unknown))}")
        found: dict[str, Any] = {}
        for source in (_of_file(_env_file), os.environ):
            found |= {name.upper(): value for name, value in source.items() if value}
        raw = {name: found[variable(name)] for name in self.fields if variable(name) in found} | given
        for name, field in self.fields.items():
            try:
                value = field.read(raw[name]) if name in raw else field.default
            except ValueError as error:
                raise CannotStart(f"{variable(name)} is not usable: {error}.") from None
            vars(self)[name] = value
        vars(self)["chosen"] = frozenset(raw)
        if self.heartbeat_seconds >= self.lease_seconds:
            raise CannotStart("CHATWREN_HEARTBEAT_SECONDS must be less than CHATWREN_LEASE_SECONDS.")
        if (self.rewriter_url is None) != (self.rewriter_model is None):
            raise CannotStart("CHATWREN_REWRITER_URL and CHATWREN_REWRITER_MODEL go together: set both, or neither.")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("settings do not change")

    def changed(self, **values: Any) -> Self:
        """A copy with other values, which are taken as they are."""
        copy = object.__new__(type(self))
        vars(copy).update({name: vars(self)[name] for name in (*self.fields, "chosen")} | values)
        return copy

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


Settings.fields = {name: field for name, field in vars(Settings).items() if isinstance(field, Field)}


def variable(name: str) -> str:
    """The environment variable of the setting of that name."""
    return "DATABASE_URL" if name == "database_url" else f"CHATWREN_{name.upper()}"


def option(name: str) -> str:
    """What changes the setting of that name, in the words of the command that was typed."""
    if (typed := os.environ.get(TYPED)) is not None:
        return f"`{typed} {name.upper()}=...`"
    return f"--{name.replace('_', '-')} ({variable(name)})"


def _of_file(name: str | None) -> dict[str, str | None]:
    """The variables that a file sets, where there is one.

    Raises:
        CannotStart: it cannot be read.
    """
    if name is None or not Path(name).is_file():
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - seldom needed

    try:
        return dotenv_values(name, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"The file {name} cannot be read: {error}") from None


def doubts(settings: Settings) -> Iterator[str]:
    """What about the settings is probably not what whoever made them means, a sentence each."""
    known = {variable(name).removeprefix(_PREFIX): variable(name) for name in Settings.fields}
    of_file = {name.upper() for name in _of_file(_FILE)}
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
