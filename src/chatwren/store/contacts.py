"""Contacts as seen from an account: who has been written to, where WhatsApp says they are, where media files lie."""

from collections.abc import Sequence
from uuid import UUID

from chatwren.store.conditions import WAITS
from chatwren.store.database import Connection


async def remember_address(connection: Connection, account: UUID, address: str, jid: str) -> None:
    """Messages to this address (digits) go to this JID."""
    await connection.execute(
        """
        INSERT INTO contact (account_id, address, jid, checked_at) VALUES ($1, $2, $3, now())
        ON CONFLICT (account_id, address) DO UPDATE SET jid = excluded.jid, checked_at = excluded.checked_at
        """,
        account,
        address,
        jid,
    )


async def forget_address(connection: Connection, account: UUID, address: str) -> None:
    """WhatsApp is to be asked again where messages to this address go. Receipts may still come from where they went."""
    await connection.execute(
        "UPDATE contact SET checked_at = NULL WHERE account_id = $1 AND address = $2", account, address
    )


async def remember_upload(connection: Connection, media: UUID, account: UUID, handle: bytes) -> None:
    """The file lies at WhatsApp, as this account's; `handle` is the engine's."""
    await connection.execute(
        """
        INSERT INTO media_upload (media_id, account_id, handle) VALUES ($1, $2, $3)
        ON CONFLICT (media_id, account_id) DO UPDATE SET handle = excluded.handle, uploaded_at = now()
        """,
        media,
        account,
        handle,
    )


def reach(pairs: str) -> str:
    """SQL that notes contacts as reached which were not, and returns those: account_id, address.

    Args:
        pairs: a SELECT of (account_id, address, at), each contact once.
    """
    return f"""
          INSERT INTO contact (account_id, address, reached_at, cold_at)
          SELECT account_id, address, at, at FROM ({pairs}) AS p (account_id, address, at)
          WHERE NOT EXISTS (
            SELECT FROM contact c
            WHERE c.account_id = p.account_id AND c.address = p.address AND c.reached_at IS NOT NULL
          )
          ORDER BY account_id, address
          ON CONFLICT (account_id, address) DO UPDATE SET
            reached_at = excluded.reached_at,
            cold_at = CASE WHEN contact.wrote_at IS NULL THEN excluded.cold_at END
            WHERE contact.reached_at IS NULL
          RETURNING account_id, address
    """


KNOWN = "(c.wrote_at IS NOT NULL OR c.reached_at IS NOT NULL)"
"""SQL: whether the contact c is no stranger."""


async def promote(connection: Connection, contacts: Sequence[tuple[UUID, str]]) -> None:
    """What waits in the cold lane for those of these contacts who are no strangers any more goes on in the normal one.

    To be called after the statement that made them known, or that let a message wait again, in its transaction: it sees
    what others have committed meanwhile.
    """
    if contacts:
        await connection.execute(
            f"""
            UPDATE message m SET lane = 'normal'
            FROM unnest($1::uuid[], $2::text[]) AS k (account_id, address)
            JOIN contact c ON c.account_id = k.account_id AND c.address = k.address
            WHERE m.recipient = k.address AND m.account_id = k.account_id AND {KNOWN}
              AND m.lane = 'cold' AND {WAITS}
            """,
            [account for account, _ in contacts],
            [address for _, address in contacts],
        )
