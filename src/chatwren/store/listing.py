"""Lists of a user's messages, at any size: pages, totals, and how many are before one in its queue."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chatwren.domain import search
from chatwren.domain.messages import Filter, Shown
from chatwren.store import searching, totals
from chatwren.store.conditions import MESSAGE_OF_ROW
from chatwren.store.database import Connection
from chatwren.store.messages import COLUMNS, MessageRow

COUNTED = 10_000
"""How far a list with further filters is counted exactly."""
COUNTED_OF_TEXT = 1000
"""The same of a search for a text. What a hundredth of all texts hold is in every second block, so as many messages are
read for each that is counted."""
PLACES = 4000
"""How far a place in the queue is counted: half a day at the usual pace."""

_SAYS = """CASE WHEN octet_length(m.text) = length(m.text) THEN strpos(lower(m.text), {plain}) > 0
                      ELSE m.text ~ {pattern} END"""
"""SQL: the message m holds a text, whatever the case and accents of either. What is ASCII has none, and is looked
through in half the time of a regular expression, or a tenth where much of it is the same."""

_SHOWN: dict[Shown, str] = {
    Shown.SCHEDULED: "m.status = 'waiting' AND m.due > now()",
    Shown.QUEUED: "m.status = 'waiting' AND m.due <= now()",
    Shown.SENDING: "m.status = 'sending'",
    Shown.SENT: "m.status = 'sent'",
    Shown.FAILED: "m.status = 'failed'",
    Shown.CANCELLED: "m.status = 'cancelled'",
    Shown.EXPIRED: "m.status = 'expired'",
}
_STORED = dict.fromkeys((Shown.SCHEDULED, Shown.QUEUED), "waiting")
_LEAST, _MOST = UUID(int=0), UUID(int=2**128 - 1)

# A walk gives messages m of the user $1, those between the ids $2 and $3, in the order of their ids, as one index has
# them. Statistics of a quiet hour, or a plan that was made in one, take any index for the shortest way to the few
# messages that there seem to be. So a walk is ordered by what that index alone has, and any other one would have to
# sort. What stands before the id in it is given as a range, which orders, and not as the one value that it is. By
# OFFSET 0 nothing else that is asked of the messages has a say in how they are found.
_WALK = """(
  SELECT *, {key} AS place FROM message m
  WHERE {within} ORDER BY {before}{key} {{direction}} OFFSET 0
) AS m"""
_BETWEEN = "{key} > $2 AND {key} < $3"


def _walk(key: str, within: str) -> str:
    return _WALK.format(key=key, before="", within=f"m.user_id = $1 AND {within} AND {_BETWEEN.format(key=key)}")


def _walk_of_one(column: str, value: str) -> str:
    within = f"m.user_id = $1 AND (m.{column}, m.id) > ({value}, $2) AND (m.{column}, m.id) < ({value}, $3)"
    return _WALK.format(key="m.id", before=f"m.{column} {{direction}}, ", within=within)


def _of_user(after: str = "> ($1, $2)", before: str = "< ($1, $3)") -> str:
    return f"(m.user_id, m.id) {after} AND (m.user_id, m.id) {before}"


def _walk_of_all(within: str) -> str:
    return _WALK.format(key="m.id", before="m.user_id {direction}, ", within=within)


_ALL = _walk_of_all(_of_user())
_IN_ORDER = "m.user_id {direction}, m.place"
_SEEN = _walk("CASE WHEN m.due <= m.seen_at THEN m.id END", totals.SEEN)
_UNSEEN = _walk("CASE WHEN m.due <= m.seen_at THEN NULL ELSE m.id END", totals.UNSEEN)
_UNSEEN_DUE = f"""(
  SELECT * FROM (
    SELECT *, m.id AS place FROM message m WHERE m.user_id = $1 AND {totals.UNSEEN} AND {totals.UNSEEN_DUE} <= now()
    ORDER BY {totals.UNSEEN_DUE} OFFSET 0
  ) AS m WHERE {_BETWEEN.format(key="m.id")}
) AS m"""
# Those of the blocks that a search cannot pass over, and what is in none.
_OF_BLOCKS = f"""(
  SELECT m.*, b.upto AS block, m.id AS place FROM (
    SELECT after, upto FROM message_block WHERE user_id = $1 AND upto > $2 AND after < $3
      AND (grams IS NULL OR ({{grams}})) ORDER BY upto {{direction}} OFFSET 0
  ) AS b CROSS JOIN LATERAL (
    SELECT * FROM message m WHERE {{within}} ORDER BY {{order}} {{direction}} OFFSET 0
  ) AS m WHERE {_BETWEEN.format(key="m.id")}
) AS m"""
_WITHIN = _of_user("> ($1, b.after)", "<= ($1, b.upto)"), "m.user_id {direction}, m.id"
_WITHIN_OF_ONE = (
    "m.user_id = $1 AND (m.status, m.id) > ({status}, b.after) AND (m.status, m.id) <= ({status}, b.upto)",
    "m.status {direction}, m.id",
)
_OF_NO_BLOCK = [
    (
        f"(SELECT * FROM {_walk_of_all(_of_user(before=f'<= ($1, {searching.FIRST})'))} WHERE m.place < $3) AS m",
        _IN_ORDER,
    ),
    (_walk_of_all(_of_user(after=f"> ($1, coalesce({searching.LAST}, $2))")), _IN_ORDER),
]
_OF_BULK = f"""(
  SELECT m.*, m.id AS place FROM bulk_row r CROSS JOIN {MESSAGE_OF_ROW}
  WHERE m.user_id = $1 AND r.bulk_id = {{bulk}} AND {_BETWEEN.format(key="m.id")}
) AS m"""


class _Values(list[Any]):
    """The parameters of a statement. To be called with one more: where that stands."""

    def __call__(self, value: object) -> str:
        self.append(value)
        return f"${len(self)}"


def _walks(where: Filter, values: _Values) -> list[tuple[str, str]]:
    """The walks of which the messages that match are part, of each the shortest that there is; and their orders."""
    if where.bulk is not None:
        return [(_OF_BULK.replace("{bulk}", values(where.bulk)), "m.place")]
    if where.recipient is not None:
        return [(_walk_of_one("recipient", values(where.recipient)), "m.recipient {direction}, m.place")]
    if where.text is not None and (grams := searching.grams_of(where.text)):
        held = " AND ".join(f"get_bit(grams, {values(gram)}) = 1" for gram in grams)
        within, order = _WITHIN
        if where.status is not None:
            within, order = _WITHIN_OF_ONE
            within = within.replace("{status}", f"'{_STORED.get(where.status, where.status)}'::message_status")
        walk = _OF_BLOCKS.replace("{grams}", held).replace("{within}", within).replace("{order}", order)
        return [*_OF_NO_BLOCK, (walk, "m.block {direction}, m.place")]
    match where.status:
        case None:
            return [(_ALL, _IN_ORDER)]
        case Shown.QUEUED:
            return [(_SEEN, "m.place"), (_UNSEEN_DUE, "m.place")]
        case Shown.SCHEDULED:
            return [(_UNSEEN, "m.place")]
    return [(_walk_of_one("status", f"'{where.status}'::message_status"), "m.status {direction}, m.place")]


def _asked(where: Filter, values: _Values) -> str:
    """What else is asked of the messages m."""
    asked = ["true"] if where.status is None else [_SHOWN[where.status]]
    for condition, value in (
        ("m.recipient = {}", where.recipient),
        ("m.due >= {}", where.since),
        ("m.due < {}", where.until),
    ):
        if value is not None:
            asked.append(condition.format(values(value)))
    if where.text is not None:
        plain, pattern = values(search.plain(where.text)), values(search.pattern_of(where.text))
        asked.append(_SAYS.format(plain=plain, pattern=pattern))
    return " AND ".join(asked)


def _ids(
    where: Filter, *, limit: int, offset: int = 0, after: UUID | None = None, before: UUID | None = None
) -> tuple[str, list[Any]]:
    """A SELECT of the ids of messages that match, newest first, with `after` oldest first; and its parameters."""
    values = _Values([where.user_id, after or _LEAST, before or _MOST])
    walks = _walks(where, values)
    asked = _asked(where, values)
    found = [f"SELECT m.id FROM {walk} WHERE {asked} ORDER BY {order} {{direction}}" for walk, order in walks]
    part = f"LIMIT {limit:d} OFFSET {offset:d}"
    if asked == "true" and where.bulk is None:  # of an index alone, which a subquery hides
        statement = f"SELECT m.id FROM message m WHERE {_of_user()}"
        statement += f" ORDER BY m.user_id {{direction}}, m.id {{direction}} {part}"
    elif len(found) == 1:
        statement = f"{found[0]} {part}"
    else:
        of_each = " UNION ALL ".join(f"({one} LIMIT {limit + offset:d})" for one in found)
        statement = f"SELECT m.id FROM ({of_each}) AS m ORDER BY m.id {{direction}} {part}"
    return statement.replace("{direction}", "DESC" if after is None else "ASC"), values


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the messages that a filter matches, and how many it matches; more than `total` when `at_least`."""

    rows: Sequence[MessageRow]
    total: int
    at_least: bool = False


async def page(
    connection: Connection, where: Filter, *, limit: int, offset: int = 0, before: UUID | None = None
) -> Page:
    """Messages that match, newest first: `offset` on, or those accepted before the message `before`.

    Args:
        connection: two or three statements are run.
        where: which.
        limit: most that are returned.
        offset: how many are passed over.
        before: only those accepted before this one. The total counts the others too.
    """
    most = COUNTED if where.text is None else COUNTED_OF_TEXT
    if where.is_plain:
        of_user = await totals.of_user(connection, where.user_id)
        total = of_user.all if where.status is None else of_user.by_status[where.status]
    else:
        counted, values = _ids(where, limit=most + 1)
        first = await connection.fetchrow(
            f"""
            WITH found AS MATERIALIZED ({counted})
            SELECT (SELECT count(*) FROM found) AS total,
                   ARRAY(SELECT id FROM found ORDER BY id DESC LIMIT {limit:d} OFFSET {offset:d}) AS ids
            """,
            *values,
        )
        total = first["total"]
        if before is None and (offset + limit <= most or total <= most):
            return Page(await _rows(connection, where.user_id, first["ids"]), min(total, most), total > most)
    wanted, values = _ids(where, limit=limit, offset=offset, before=before)
    rows = await _rows(connection, where.user_id, [row[0] for row in await connection.fetch(wanted, *values)])
    at_least = not where.is_plain and total > most
    return Page(rows, most if at_least else total, at_least)


async def _rows(connection: Connection, user_id: UUID, ids: Sequence[UUID]) -> list[MessageRow]:
    """These messages of the user, newest first."""
    rows = await connection.fetch(
        f"""
        SELECT {COLUMNS} FROM unnest($2::uuid[]) AS r (message_id) CROSS JOIN {MESSAGE_OF_ROW}
        LEFT JOIN LATERAL (SELECT * FROM media WHERE id = m.media_id OFFSET 0) AS f ON true
        LEFT JOIN LATERAL (
          SELECT * FROM contact WHERE account_id = m.account_id AND address = m.recipient OFFSET 0
        ) AS c ON true
        WHERE m.user_id = $1 ORDER BY m.id DESC
        """,
        user_id,
        ids,
    )
    return [COLUMNS.of(row) for row in rows]


async def next_ids(connection: Connection, where: Filter, *, limit: int, after: UUID | None) -> list[UUID]:
    """Ids of messages that match, oldest first, of those accepted after `after`."""
    statement, values = _ids(where, limit=limit, after=after or _LEAST)
    return [row[0] for row in await connection.fetch(statement, *values)]


async def places(
    connection: Connection, account: UUID, ids: Collection[UUID], lanes: Collection[str]
) -> dict[UUID, int]:
    """How many messages of the account go before each of these, of those in these lanes that may go now.

    Left out are those that are not due, whose recipient backs off, and those with PLACES or more before them.
    """
    # As conditions.may_go, but that whoever backs off is looked up once, and the status without telling the index that
    # lists one status of a user that it would do.
    rows = await connection.fetch(
        f"""
        WITH backing_off AS MATERIALIZED (
          SELECT address FROM contact WHERE account_id = $1 AND retry_at > now() ORDER BY retry_at
        ), queue AS MATERIALIZED (
          SELECT array_agg(id) AS ids FROM (
            SELECT m.id FROM message m
            WHERE m.account_id = $1 AND m.lane = ANY($3::text[]::message_lane[]) AND m.status <= 'sending'
              AND m.due <= now() AND CASE m.status WHEN 'waiting' THEN
                (m.expires_at IS NULL OR m.expires_at > now()) AND m.recipient NOT IN (SELECT address FROM backing_off)
              END
            ORDER BY m.lane, m.due, m.id LIMIT {PLACES}
          ) AS ordered
        )
        SELECT w.id, array_position(queue.ids, w.id) - 1 FROM queue, unnest($2::uuid[]) AS w (id)
        """,
        account,
        list(ids),
        list(lanes),
    )
    return {row[0]: row[1] for row in rows if row[1] is not None}
