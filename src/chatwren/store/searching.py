"""Which messages of a user a search need not read: blocks of them, with what three characters their texts hold.

Blocks of a user's messages follow each other by their ids, without a gap. One is passed over where its `grams` tell
that no text of it matches. They are forgotten when a text in its range is added or changed, by triggers. Whoever wrote
before a block was there was not told of it: it is read when they have ended.
"""

import re
from collections.abc import Iterable
from uuid import UUID
from zlib import crc32

from chatwren.domain import search
from chatwren.store.database import Connection

BLOCK = 64
"""Messages of one. A search for what few texts hold reads so many for each; a row of a block takes 1 kB."""
BEHIND = 8192
"""How many messages a user has behind the last block before there are more blocks: few are read at once."""
READ_AT_ONCE = 16
"""Most blocks that one call of `read` reads."""
_LOCK = 0x42_4C_4B_53  # "BLKS": one makes blocks at a time
GRAMS = 32
"""Most grams of a text that are asked for. The first ones that a block does not hold end the question."""
LARGEST = 65_536
"""Most bytes of a block's texts that are read. One that has more is never passed over."""
_BITS = 8192
_ASCII = re.compile(r"[\x00-\x7f]{3,}")


_OF_USER = "FROM message_block WHERE user_id = $1 ORDER BY upto"
FIRST = f"(SELECT least(after, $3) {_OF_USER} LIMIT 1)"
"""SQL: where the blocks of the user $1 begin, or $3 if that is before it; NULL: there are none."""
LAST = f"(SELECT greatest(upto, $2) {_OF_USER} DESC LIMIT 1)"
"""SQL: where the blocks of the user $1 end, or $2 if that is behind it; NULL: there are none."""


def grams_of(text: str) -> list[int]:
    """Bits of what any text holds that this one is found in. Empty: that is not known."""
    found = sorted({_bit(gram) for gram in _grams(text)})
    return found[:: -(-len(found) // GRAMS) or 1]


def grams_held(texts: Iterable[str]) -> bytes:
    """What these texts hold, as bits."""
    bits = bytearray(_BITS // 8)
    for gram in {gram for text in texts for gram in _grams(text)}:
        bits[_bit(gram) >> 3] |= 1 << (_bit(gram) & 7)
    return bytes(bits)


def _grams(text: str) -> set[str]:
    """Three characters each that follow each other in a plain text. Only ASCII: others have several plain forms."""
    return {part[n : n + 3] for part in _ASCII.findall(search.plain(text)) for n in range(len(part) - 2)}


def _bit(gram: str) -> int:
    return crc32(gram.encode()) % _BITS


async def extend(connection: Connection) -> int:
    """Make blocks of messages of one user who has many behind their last one. Returns how many. In a transaction."""
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
        return 0
    result = await connection.execute(
        f"""
        WITH last AS MATERIALIZED (
          SELECT u.user_id, b.upto FROM (
            SELECT user_id FROM message_total GROUP BY user_id
            HAVING sum(pending + sent + failed + cancelled + expired) > {BEHIND}
          ) AS u CROSS JOIN LATERAL (
            SELECT coalesce((
              SELECT upto FROM message_block WHERE user_id = u.user_id ORDER BY upto DESC LIMIT 1
            ), '{UUID(int=0)}') AS upto
          ) AS b
          WHERE EXISTS (
            SELECT FROM message m WHERE m.user_id = u.user_id AND m.id > b.upto ORDER BY m.id OFFSET {BEHIND} LIMIT 1
          )
          LIMIT 1
        ), ends AS (
          SELECT user_id, upto, id FROM (
            SELECT last.user_id, last.upto, m.id, row_number() OVER (ORDER BY m.id) AS number FROM last
            CROSS JOIN LATERAL (
              SELECT id FROM message WHERE user_id = last.user_id AND id > last.upto ORDER BY id LIMIT {BEHIND}
            ) AS m
          ) AS numbered WHERE number % {BLOCK} = 0
        )
        INSERT INTO message_block (user_id, after, upto)
        SELECT user_id, lag(id, 1, upto) OVER (ORDER BY id), id FROM ends
        """
    )
    return int(result.removeprefix("INSERT 0 "))


async def read(connection: Connection) -> int:
    """Read up to READ_AT_ONCE blocks that nobody has read. Returns how many. Not in a transaction."""
    await connection.execute(
        """
        WITH fresh AS MATERIALIZED (
          SELECT user_id, upto FROM message_block WHERE grams IS NULL AND seen_by IS NULL FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE message_block b SET seen_by = pg_snapshot_xmax(pg_current_snapshot()) FROM fresh f
        WHERE b.user_id = f.user_id AND b.upto = f.upto
        """
    )
    unread = await connection.fetch(
        f"""
        SELECT b.user_id, b.upto, b.seen_by::text AS seen_by, CASE WHEN m.size <= {LARGEST} THEN m.texts END AS texts
        FROM (
          SELECT * FROM message_block WHERE grams IS NULL AND seen_by <= pg_snapshot_xmin(pg_current_snapshot())
          LIMIT {READ_AT_ONCE}
        ) AS b CROSS JOIN LATERAL (
          SELECT coalesce(sum(octet_length(text)), 0) AS size, coalesce(array_agg(text), '{{}}') AS texts
          FROM message WHERE user_id = b.user_id AND id > b.after AND id <= b.upto
        ) AS m
        """
    )
    for one in unread:
        await connection.execute(
            "UPDATE message_block SET grams = $4 WHERE user_id = $1 AND upto = $2 AND seen_by = $3::text::xid8",
            one["user_id"],
            one["upto"],
            one["seen_by"],
            b"\xff" * (_BITS // 8) if one["texts"] is None else grams_held(one["texts"]),
        )
    return len(unread)


async def forget(connection: Connection) -> int:
    """Remove some blocks of messages that are not there any more. Returns how many. One statement is run."""
    result = await connection.execute(
        """
        DELETE FROM message_block b USING (SELECT DISTINCT user_id FROM message_block) AS u CROSS JOIN LATERAL (
          SELECT upto FROM message_block WHERE user_id = u.user_id ORDER BY upto LIMIT 100
        ) AS first
        WHERE b.user_id = u.user_id AND b.upto = first.upto
          AND NOT EXISTS (SELECT FROM message m WHERE m.user_id = u.user_id AND m.id <= first.upto)
        """
    )
    return int(result.removeprefix("DELETE "))
