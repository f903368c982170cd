"""Answers that were given under an Idempotency-Key, for 24 hours."""

from typing import Any
from uuid import UUID

from chatwren.store.database import Connection


async def answered(connection: Connection, user_id: UUID, key: str) -> tuple[bytes, dict[str, Any]] | None:
    """The request hash and the answer stored under an idempotency key in the last 24 hours."""
    row = await connection.fetchrow(
        """
        SELECT request_hash, answer FROM idempotency
        WHERE user_id = $1 AND key = $2 AND created_at > now() - interval '24 hours'
        """,
        user_id,
        key,
    )
    return (row[0], row[1]) if row else None


async def remember_answer(
    connection: Connection, user_id: UUID, key: str, request_hash: bytes, answer: dict[str, Any]
) -> bool:
    """Store the answer of a request under its key. False: another request took the key."""
    return bool(
        await connection.fetchval(
            """
            INSERT INTO idempotency (user_id, key, request_hash, answer) VALUES ($1, $2, $3, $4)
            ON CONFLICT (user_id, key) DO UPDATE
              SET request_hash = excluded.request_hash, answer = excluded.answer, created_at = now()
              WHERE idempotency.created_at <= now() - interval '24 hours'
            RETURNING true
            """,
            user_id,
            key,
            request_hash,
            answer,
        )
    )
