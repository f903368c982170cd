"""The table `secret`: what Chatwren made up for itself on its first start, shared by all its processes."""

from chatwren.store.database import Connection


async def get_or_keep(connection: Connection, name: str, proposed: str) -> str:
    """The secret of this name; `proposed` becomes it if there is none. All callers get the same one."""
    value = await connection.fetchval(
        """
        WITH kept AS (
          INSERT INTO secret (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING value
        )
        SELECT value FROM kept UNION ALL SELECT value FROM secret WHERE name = $1
        """,
        name,
        proposed,
    )
    if value is None:  # another process kept its own between this statement's snapshot and its insert
        value = await connection.fetchval("SELECT value FROM secret WHERE name = $1", name)
    return str(value)
