"""What one user may have: every table, folder and resource that a request can grow has its bound here.

A bound protects the others on the machine, so it is generous. Whoever meets it is told which one it is, and the
operator can raise it for one user: `chatwren users limits`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chatwren.domain.errors import ChatwrenError, Invalid, TooLarge, TooMany
from chatwren.domain.sizes import size

REACHED: Final = "limit_reached"
"""The code of every refusal by a limit; its member `limit` names which, `allowed` says how much it allows."""

_RETRY_SECONDS = 5.0
_LARGEST = 10**15
_BYTES = "bytes "
_GIB = 1024**3


class Limit(StrEnum):
    """The limits, by the names under which errors and commands know them."""

    WAITING_MESSAGES = "waiting_messages"
    STORED_MESSAGES = "stored_messages"
    MESSAGE_CHANGES = "message_changes"
    INBOUND_MESSAGES = "inbound_messages"
    INBOUND_BYTES = "inbound_bytes"
    MEDIA_BYTES = "media_bytes"
    OPEN_BULKS = "open_bulks"
    REFUSED_ROWS = "refused_rows"
    SESSIONS = "sessions"
    PHONE_PAIRINGS = "phone_pairings"
    QR_PAIRINGS = "qr_pairings"
    EVENT_STREAMS = "event_streams"
    UPLOADS = "uploads"
    COMPUTING = "computing"
    SEARCHES = "searches"
    REWORDINGS = "rewordings"


@dataclass(frozen=True, slots=True)
class Bound:
    """How much a limit allows.

    Attributes:
        default: for users of whom the operator has said nothing else.
        meaning: what is counted, as it follows "may have at most … ".
        passes: it is met by waiting a moment, as opposed to by removing or finishing something.
    """

    default: int
    meaning: str
    passes: bool = False


BOUNDS: Final[dict[Limit, Bound]] = {
    Limit.WAITING_MESSAGES: Bound(
        200_000, "messages that wait to be sent, rows of bulks included; of other web processes known 5 s later"
    ),
    Limit.STORED_MESSAGES: Bound(5_000_000, "messages in the queue, whatever became of them; known likewise"),
    Limit.MESSAGE_CHANGES: Bound(100, "changes and retries of one message"),
    Limit.INBOUND_MESSAGES: Bound(1_000_000, "received messages of an account; every 10 minutes the oldest go"),
    # Twice what so many ordinary messages take.
    Limit.INBOUND_BYTES: Bound(_GIB, "bytes of received messages of an account; every 10 minutes the oldest go"),
    Limit.MEDIA_BYTES: Bound(10 * _GIB, "bytes of media files"),
    Limit.OPEN_BULKS: Bound(20, "bulks that are not finished"),
    Limit.REFUSED_ROWS: Bound(1_000_000, "rows of bulks that were refused or are not accepted yet"),
    Limit.SESSIONS: Bound(50, "sessions; the one unused for longest ends for a new one"),
    Limit.PHONE_PAIRINGS: Bound(3, "linkings by a code typed on a phone, begun within 10 minutes"),
    Limit.QR_PAIRINGS: Bound(10, "linkings by QR code, begun within 10 minutes"),
    Limit.EVENT_STREAMS: Bound(20, "event streams at once", passes=True),
    Limit.UPLOADS: Bound(8, "uploads at once", passes=True),
    Limit.COMPUTING: Bound(2, "requests at once that take much computing", passes=True),
    Limit.REWORDINGS: Bound(30, "texts given to a language model to reword within 10 minutes"),
    Limit.SEARCHES: Bound(4, "searches of the queue at once", passes=True),
}
"""The bound of what happens at once is each web process's. The others hold exactly, for all processes together: a
place is taken in the transaction that stores what fills it. Messages alone would need a statement more for that: a
process counts what it accepts itself, and knows after 5 s at the latest what others do."""


def reached(limit: Limit, allowed: int) -> ChatwrenError:
    """The refusal by a limit: 413 for bytes, else 429. It names the limit and what it allows."""
    bound = BOUNDS[limit]
    counted = bound.meaning.partition(";")[0]
    much = f"{allowed:,} {counted}"
    if counted.startswith(_BYTES):
        much = f"{size(allowed)} {counted.removeprefix(_BYTES)}"
    message = f"The limit {limit} is reached: you may have at most {much}."
    extra = {"limit": str(limit), "allowed": allowed}
    if limit is Limit.MEDIA_BYTES:
        return TooLarge(f"{message} Whoever runs this server can raise it.", code=REACHED, extra=extra)
    if bound.passes:
        return TooMany(f"{message} Try again in a moment.", retry_after=_RETRY_SECONDS, code=REACHED, extra=extra)
    advice = "Wait until fewer are left, or ask whoever runs this server to raise it."
    return TooMany(f"{message} {advice}", retry_after=60, code=REACHED, extra=extra)


def parse_override(text: str) -> tuple[Limit, int | None]:
    """What `name=number` sets, or `name=default` takes back (None).

    Raises:
        Invalid: no limit of that name, or no number from 0.
    """
    name, _, value = text.partition("=")
    if name not in {str(one) for one in Limit}:
        raise Invalid(f"There is no limit {name!r}. There are: {', '.join(Limit)}.", field="limit")
    if value == "default":
        return Limit(name), None
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(_LARGEST))):
        raise Invalid(f"{name} must be a whole number, or `default`.", field="limit")
    return Limit(name), int(value)
