"""What is left of somebody: a search of every table and folder, whatever they are called."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import asyncpg


async def in_database(url: str, traces: Sequence[str | UUID]) -> list[str]:
    """Which traces are found in which tables of all schemas but PostgreSQL's own.

    Each row is searched as text, in which bytes are hexadecimal: a trace is looked for in its own form and as the bytes
    of it, an id also without dashes.
    """
    connection = await asyncpg.connect(url)
    found = []
    try:
        tables = await connection.fetch(
            """
            SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            """
        )
        assert len(tables) > 20, tables
        for (table,) in tables:
            for trace in traces:
                count = await connection.fetchval(
                    f"SELECT count(*) FROM {table} AS one"
                    " WHERE EXISTS (SELECT FROM unnest($1::text[]) AS form WHERE position(form IN one::text) > 0)",
                    sorted(_forms(trace)),
                )
                if count:
                    found.append(f"{trace} in {table}")
    finally:
        await connection.close()
    return found


async def in_folder(folder: Path, traces: Sequence[str | UUID]) -> list[str]:
    """Which traces are found in names or contents of files."""
    return await asyncio.to_thread(_in_folder, folder, traces)


def _in_folder(folder: Path, traces: Sequence[str | UUID]) -> list[str]:
    return [
        f"{trace} in {path}"
        for path in folder.rglob("*")
        for trace in traces
        for form in ({str(trace), trace.hex} if isinstance(trace, UUID) else {trace})
        if form in path.name or (path.is_file() and form.encode() in path.read_bytes())
    ]


def _forms(trace: str | UUID) -> set[str]:
    if isinstance(trace, UUID):
        return {str(trace), trace.hex, str(trace).encode().hex()}
    return {trace, trace.encode().hex()}
