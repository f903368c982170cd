"""The table `app_user`: who signed up."""

from dataclasses import asdict, dataclass
from uuid import UUID

from chatwren.domain.users import User, UserSummary
from chatwren.store.database import Connection
from chatwren.store.rows import Columns, named


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a log-in is checked against."""

    password_hash: str
    disabled: bool
    deleted: bool
    user: User


COLUMNS = Columns(User, "app_user")
_CREDENTIALS = Columns(
    Credentials,
    "app_user",
    disabled="app_user.disabled_at IS NOT NULL",
    deleted="app_user.deleted_at IS NOT NULL",
    user=None,
)
_SUMMARY = Columns(
    UserSummary,
    "app_user",
    account_phone="(SELECT phone FROM account WHERE user_id = app_user.id ORDER BY created_at, id LIMIT 1)",
)

_BY_KEY = f"SELECT {_CREDENTIALS}, {COLUMNS} FROM app_user WHERE username_key = $1"

_INSERT = """
    INSERT INTO app_user
      (id, username, username_key, username_skeleton, name, phone, email, gst, time_zone, password_hash)
    VALUES (:id, :username, :key, :skeleton, :name, :phone, :email, :gst, :time_zone, :password_hash)
    ON CONFLICT DO NOTHING
    RETURNING id
"""


async def insert(connection: Connection, user: User, *, key: str, skeleton: str, password_hash: str) -> bool:
    """Add the user; False when another has a name with the same key, or one that looks the same."""
    row = await connection.fetchrow(
        *named(_INSERT, **asdict(user), key=key, skeleton=skeleton, password_hash=password_hash)
    )
    return row is not None


async def without_skeleton(connection: Connection) -> list[tuple[UUID, str]]:
    """Id and name of the users whose name has none yet: of an older release, or looking like another's that has one."""
    rows = await connection.fetch(
        "SELECT id, username FROM app_user WHERE username_skeleton IS NULL ORDER BY created_at, id"
    )
    return [(row[0], row[1]) for row in rows]


async def set_skeleton(connection: Connection, user_id: UUID, skeleton: str) -> None:
    """Note what a name looks like, unless another user's looks the same: of those the first is enough."""
    await connection.execute(
        """
        UPDATE app_user SET username_skeleton = $2
        WHERE id = $1 AND NOT EXISTS (SELECT FROM app_user WHERE username_skeleton = $2)
        """,
        user_id,
        skeleton,
    )


async def credentials(connection: Connection, key: str) -> Credentials | None:
    """What the user whose name has this key must prove."""
    row = await connection.fetchrow(_BY_KEY, key)
    return _CREDENTIALS.of(row, user=COLUMNS.of(row)) if row else None


async def still(connection: Connection, key: str, verified: Credentials) -> Credentials | None:
    """What holds now, and until the transaction ends; None: the password is not the one any more that was verified."""
    row = await connection.fetchrow(f"{_BY_KEY} AND password_hash = $2 FOR NO KEY UPDATE", key, verified.password_hash)
    return _CREDENTIALS.of(row, user=COLUMNS.of(row)) if row else None


async def get(connection: Connection, user_id: UUID) -> User:
    """A user who is known to exist."""
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM app_user WHERE id = $1", user_id)
    return COLUMNS.of(row)


async def lock(connection: Connection, user_id: UUID) -> bool:
    """Let nobody else take what users may have so much of until the transaction ends, nor disable or delete the user.

    False: the user is gone, or is being deleted.
    """
    return bool(
        await connection.fetchval(
            "SELECT true FROM app_user WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE", user_id
        )
    )


async def set_time_zone(connection: Connection, user_id: UUID, time_zone: str | None) -> bool:
    """Set the time zone of times that the user gives without one. False: the user is gone, or may do nothing more."""
    return bool(
        await connection.fetchval(
            "UPDATE app_user SET time_zone = $2 WHERE id = $1 AND disabled_at IS NULL RETURNING true",
            user_id,
            time_zone,
        )
    )


async def set_password(connection: Connection, user_id: UUID, password_hash: str) -> None:
    """Replace the password."""
    await connection.execute("UPDATE app_user SET password_hash = $2 WHERE id = $1", user_id, password_hash)


async def set_disabled(connection: Connection, user_id: UUID, *, disabled: bool) -> None:
    """Lock the user out, or in again. The time of the first locking stays."""
    await connection.execute(
        "UPDATE app_user SET disabled_at = CASE WHEN $2 THEN coalesce(disabled_at, now()) END WHERE id = $1",
        user_id,
        disabled,
    )


async def summaries(connection: Connection) -> list[UserSummary]:
    """All users, in the order in which they signed up."""
    rows = await connection.fetch(f"SELECT {_SUMMARY} FROM app_user ORDER BY created_at, id")
    return [_SUMMARY.of(row) for row in rows]
