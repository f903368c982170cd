"""What of the database belongs to a user, as the operator hands it over. No hashes, no keys, no secrets."""

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

from chatwren.store import devices
from chatwren.store.database import Connection

_OF_ACCOUNT = "JOIN account ON account.id = one.account_id WHERE account.user_id = $1"
_OF_DEVICE = "JOIN account ON account.jid = one.our_jid WHERE account.user_id = $1"

# By table: the type of its rows, and how they are read. Left out of rows is what holds keys (raw messages, descriptions
# of their files), what is a hash, and what lets somebody link the account or see its code.
_ROWS: Final = {
    "app_user": (
        "user",
        "to_jsonb(one) - '{password_hash, username_key, username_skeleton}'::text[] FROM app_user one WHERE id = $1",
    ),
    "user_limit": ("limit", "to_jsonb(one) FROM user_limit one WHERE user_id = $1 ORDER BY name"),
    "session": (
        "session",
        "to_jsonb(one) - 'sid_hash' FROM session one WHERE user_id = $1 ORDER BY created_at",
    ),
    "account": ("account", "to_jsonb(one) FROM account one WHERE user_id = $1 ORDER BY created_at, id"),
    "pairing": (
        "pairing",
        "to_jsonb(one) - '{token, codes, phone_code}'::text[] FROM pairing one WHERE user_id = $1 ORDER BY id",
    ),
    "outage": ("outage", f"to_jsonb(one) FROM outage one {_OF_ACCOUNT} ORDER BY one.account_id, one.began_at"),
    "contact": ("contact", f"to_jsonb(one) FROM contact one {_OF_ACCOUNT} ORDER BY one.account_id, one.address"),
    "contact_alias": (
        "contact_alias",
        "to_jsonb(one) FROM contact_alias one WHERE user_id = $1 ORDER BY contact_id, kind, value",
    ),
    "merged_contact": ("merged_contact", "to_jsonb(one) FROM merged_contact one WHERE user_id = $1 ORDER BY id"),
    "media": (
        "file",
        (
            "to_jsonb(one) - 'thumbnail' || jsonb_build_object('preview', encode(thumbnail, 'base64'))"
            " FROM media one WHERE user_id = $1 ORDER BY id"
        ),
    ),
    "bulk": ("bulk", "to_jsonb(one) FROM bulk one WHERE user_id = $1 ORDER BY id"),
    "bulk_row": (
        "bulk_row",
        (
            "to_jsonb(one) FROM bulk_row one JOIN bulk ON bulk.id = one.bulk_id WHERE bulk.user_id = $1"
            " ORDER BY one.bulk_id, one.line"
        ),
    ),
    "message": ("message", "to_jsonb(one) FROM message one WHERE user_id = $1 ORDER BY id"),
    "message_step": (
        "message_step",
        (
            "to_jsonb(one) FROM message_step one JOIN message ON message.id = one.message_id WHERE message.user_id = $1"
            " ORDER BY one.message_id, one.at"
        ),
    ),
    "idempotency": (
        "answer",
        "to_jsonb(one) - 'request_hash' FROM idempotency one WHERE user_id = $1 ORDER BY created_at",
    ),
    "inbound": (
        "inbound",
        f"to_jsonb(one) - '{{raw, media}}'::text[] FROM inbound one {_OF_ACCOUNT} ORDER BY one.received_at, one.wa_id",
    ),
    "dead_letter": ("dead_letter", f"to_jsonb(one) - 'event' FROM dead_letter one {_OF_ACCOUNT} ORDER BY one.id"),
}
# The same of the engine's tables, which are not there before the engine's own migration.
_DEVICES: Final = {
    "whatsmeow_contacts": (
        "address_book",
        f"to_jsonb(one) FROM {devices.SCHEMA}.whatsmeow_contacts one {_OF_DEVICE} ORDER BY their_jid",
    ),
    "whatsmeow_chat_settings": (
        "chat_settings",
        f"to_jsonb(one) FROM {devices.SCHEMA}.whatsmeow_chat_settings one {_OF_DEVICE} ORDER BY chat_jid",
    ),
    "chatwren_lid_map": (
        "other_address",
        f"to_jsonb(one) FROM {devices.SCHEMA}.chatwren_lid_map one {_OF_DEVICE} ORDER BY one.lid",
    ),
}

EXPORTED: Final = frozenset({*_ROWS, *_DEVICES})
"""The tables whose rows are exported."""
NOT_EXPORTED: Final = {
    "bulk_turn": "when a worker last took rows of the user's bulks: of the machinery, not of the user",
    "lease": "which worker holds the connection: of the machinery, not of the user",
    "login_network": "hashes of the networks from which the user logs in",
    "media_upload": "the keys of uploaded files",
    "message_ahead": "sums over what is exported",
    "message_block": "what is exported, prepared for searching",
    "message_total": "sums over what is exported",
    "whatsmeow_device": "the keys of the linked device",
    "whatsmeow_identity_keys": "keys",
    "whatsmeow_pre_keys": "keys",
    "whatsmeow_sessions": "keys",
    "whatsmeow_sender_keys": "keys",
    "whatsmeow_app_state_sync_keys": "keys",
    "whatsmeow_app_state_version": "hashes by which the phone's settings are kept up to date",
    "whatsmeow_app_state_mutation_macs": "hashes by which the phone's settings are kept up to date",
    "whatsmeow_message_secrets": "keys",
    "whatsmeow_privacy_tokens": "tokens with which contacts let the device write to them",
    "whatsmeow_nct_salt": "keys",
    "whatsmeow_lid_map": "an older release's, of all devices together",
    "whatsmeow_event_buffer": "inbound messages until they are stored, which are exported then",
    "whatsmeow_retry_buffer": "sent messages again, for a recipient who asks once more",
    "whatsmeow_version": "of the schema",
}
"""The tables that hold something of users and are left out, and why."""


async def export(connection: Connection, user_id: UUID) -> AsyncIterator[dict[str, Any]]:
    """All rows that belong to the user, each with its `type`. In a transaction, for one moment's view of them all."""
    tables = {**_ROWS, **(_DEVICES if await devices.exist(connection) else {})}
    for of_type, query in tables.values():
        async for row in connection.cursor(f"SELECT {query}", user_id):
            yield {"type": of_type, **row[0]}
