"""What a migration does beside running processes: many rows in steps that hold nothing up, indexes without a lock.

For a migration's `autocommit_block`: each step is on disk by itself. A process that is killed in the middle leaves the
migration to be run again from its beginning, so all that it does must be harmless when done twice.
"""

import time

import structlog
from alembic import op
from sqlalchemy import text

log = structlog.get_logger(__name__)

NOBODY = "00000000-0000-0000-0000-000000000000"
"""Before all ids."""

_NOTABLE_SECONDS = 0.1


def in_steps(what: str, statement: str, **begin: str) -> None:
    """Run a statement until it returns no row. Each time it is given the last row that it returned.

    Args:
        what: for the log.
        statement: a bounded part of the work. It returns, as text and by the names of its parameters, how far it came.
        begin: the parameters of the first step.
    """
    began, rows, at = time.monotonic(), 0, begin
    while found := op.get_bind().execute(text(statement), at).mappings().all():
        rows += len(found)
        at = {name: found[-1][name] for name in begin}
    _tell(what, began, rows=rows)


def create_index(name: str, on: str, *, unique: bool = False) -> None:
    """Create an index while others write.

    Args:
        name: one of this name that was left unfinished is made anew.
        on: `table (columns)`, and what else its definition says after that.
        unique: it refuses what is there already.
    """
    began = time.monotonic()
    query = "SELECT bool_or(indisvalid) FROM pg_index WHERE indexrelid = to_regclass(:name)"
    if not op.get_bind().execute(text(query), {"name": name}).scalar():
        op.execute("SET lock_timeout = 0")  # it waits for transactions that began before it, and nobody waits for it
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE {'UNIQUE ' * unique}INDEX CONCURRENTLY {name} ON {on}")
        op.execute("RESET lock_timeout")
    _tell(name, began)


def drop_index(name: str) -> None:
    """Drop an index while others read and write."""
    op.execute("SET lock_timeout = 0")  # as above
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    op.execute("RESET lock_timeout")


def require(table: str, column: str) -> None:
    """Let a column be NOT NULL: its rows are looked at while others write."""
    began, given = time.monotonic(), f"{table}_{column}_given"
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {given}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {given} CHECK ({column} IS NOT NULL) NOT VALID")
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {given}")
    op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL")  # by the constraint: no row is looked at
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {given}")
    _tell(f"{table}.{column} is required", began)


def _tell(what: str, began: float, *, rows: int | None = None) -> None:
    seconds = time.monotonic() - began
    if seconds > _NOTABLE_SECONDS:
        log.info("migration.step", what=what, seconds=round(seconds, 1), rows=rows)
