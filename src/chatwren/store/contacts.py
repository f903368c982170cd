"""What WhatsApp says of recipients, as seen from an account, and where its media files lie."""

from uuid import UUID

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
    """WhatsApp is to be asked again where messages to this address go."""
    await connection.execute(
        "UPDATE contact SET jid = NULL, checked_at = NULL WHERE account_id = $1 AND address = $2", account, address
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
