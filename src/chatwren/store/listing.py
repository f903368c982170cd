"""Lists of a user's messages, at any size: pages, totals, and how many are before one in its queue."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chatwren.domain import search
from chatwren.domain.messages import Filter, Shown
from chatwren.store import totals
from chatwren.store.conditions import MESSAGE_OF_ROW, may_go
from chatwren.store.database import Connection
from chatwren.store.messages import COLUMNS, FROM, MessageRow

COUNTED = 10_000
"""How far a list with further filters is counted exactly, and how far a place in the queue is."""

_RARE = 10
"""A list of which less than one in so many waiting messages is part is found by its due times, not by walking all."""

_SAYS = """CASE WHEN octet_length(m.text) = length(m.text) THEN strpos(lower(m.text), ${plain}) > 0
                      ELSE m.text ~ ${pattern} END"""
"""SQL: the message m holds a text, whatever the case and accents of either. What is ASCII has none, and is looked
through in half the time of a regular expression, or a tenth where much of it is the same. No index serves this: one of
the words of all texts would make accepting a message slower."""

_SHOWN: dict[Shown, str] = {
    Shown.SCHEDULED: "m.status = 'waiting' AND m.due > now()",
    Shown.QUEUED: "m.status = 'waiting' AND m.due <= now()",
    Shown.SENDING: "m.status = 'sending'",
    Shown.SENT: "m.status = 'sent'",
    Shown.FAILED: "m.status = 'failed'",
    Shown.CANCELLED: "m.status = 'cancelled'",
    Shown.EXPIRED: "m.status = 'expired'",
}


def _matching(where: Filter, *, rare: bool = False) -> tuple[str, list[Any]]:
    """FROM and WHERE of the messages m that match, and their values for parameters from $1 on. `rare`: see `page`."""
    found: list[str] = ["m.user_id = $1"]
    values: list[Any] = [where.user_id]
    if where.status is not None:
        found.append(_SHOWN[where.status])
    for condition, value in (
        ("m.recipient = ${}", where.recipient),
        ("m.due >= ${}", where.since),
        ("m.due < ${}", where.until),
        ("r.bulk_id = ${}", where.bulk),
    ):
        if value is not None:
            values.append(value)
            found.append(condition.format(len(values)))
    if where.text is not None:
        values += [search.plain(where.text), search.pattern_of(where.text)]
        found.append(_SAYS.format(plain=len(values) - 1, pattern=len(values)))
    source = "message m" if where.bulk is None else f"bulk_row r CROSS JOIN {MESSAGE_OF_ROW}"
    if rare:
        due = ">" if where.status is Shown.SCHEDULED else "<="
        pending = f"SELECT d.id AS message_id FROM {totals.pending_of('$1')} AS d WHERE d.due {due} now()"
        source = f"({pending}) AS r CROSS JOIN {MESSAGE_OF_ROW}"
    return f"FROM {source} WHERE {' AND '.join(found)}", values


@dataclass(frozen=True, slots=True)
class Count:
    """How many messages a filter matches; more than that when `at_least`. `rare`: few of all that wait."""

    total: int
    at_least: bool = False
    rare: bool = False


async def count(connection: Connection, where: Filter) -> Count:
    """How many messages the filter matches."""
    if where.is_plain:
        all_of_user = await totals.of_user(connection, where.user_id)
        total = all_of_user.all if where.status is None else all_of_user.by_status[where.status]
        waiting = all_of_user.by_status[Shown.SCHEDULED] + all_of_user.by_status[Shown.QUEUED]
        return Count(total, rare=where.status in (Shown.SCHEDULED, Shown.QUEUED) and total * _RARE < waiting)
    matching, values = _matching(where)
    found = await connection.fetchval(f"SELECT count(*) FROM (SELECT {matching} LIMIT {COUNTED + 1}) AS found", *values)
    return Count(min(found, COUNTED), at_least=found > COUNTED)


async def page(
    connection: Connection, where: Filter, *, limit: int, offset: int, before: UUID | None, rare: bool = False
) -> Sequence[MessageRow]:
    """Messages that match, newest first: `offset` on, or those accepted before the message `before`.

    Args:
        connection: one statement is run.
        where: which.
        limit: most that are returned.
        offset: how many are passed over.
        before: only those accepted before this one.
        rare: as `count` found: few of the user's waiting messages match.
    """
    matching, values = _matching(where, rare=rare)
    if before is not None:
        values.append(before)
        matching += f" AND m.id < ${len(values)}"
    rows = await connection.fetch(
        f"""
        WITH wanted AS MATERIALIZED (
          SELECT m.id {matching} ORDER BY m.id DESC LIMIT {limit:d} OFFSET {offset:d}
        )
        SELECT {COLUMNS} {FROM} WHERE m.id IN (SELECT id FROM wanted) ORDER BY m.id DESC
        """,
        *values,
    )
    return [COLUMNS.of(row) for row in rows]


async def next_ids(connection: Connection, where: Filter, *, limit: int, after: UUID | None) -> list[UUID]:
    """Ids of messages that match, oldest first, of those accepted after `after`."""
    matching, values = _matching(where)
    if after is not None:
        values.append(after)
        matching += f" AND m.id > ${len(values)}"
    rows = await connection.fetch(f"SELECT m.id {matching} ORDER BY m.id LIMIT {limit:d}", *values)
    return [row[0] for row in rows]


async def places(
    connection: Connection, account: UUID, ids: Collection[UUID], lanes: Collection[str]
) -> dict[UUID, int]:
    """How many messages of the account go before each of these, of those in these lanes that may go now.

    Left out are those that are not due, whose recipient backs off, and those with more than COUNTED before them.
    """
    rows = await connection.fetch(
        f"""
        SELECT id, before FROM (
          SELECT m.id, row_number() OVER (ORDER BY m.lane, m.due, m.id) - 1 AS before
          FROM message m
          WHERE m.account_id = $1 AND m.lane = ANY($3::message_lane[]) AND {may_go("$1")}
          ORDER BY m.lane, m.due, m.id LIMIT {COUNTED}
        ) AS queue
        WHERE id = ANY($2)
        """,
        account,
        list(ids),
        list(lanes),
    )
    return {row[0]: row[1] for row in rows}
