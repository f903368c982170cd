"""What the database is asked for whoever calls: each statement names them, and what is written is written at once."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from asyncpg.connection import LoggedQuery

from chatwren.store.database import Connection, Database
from tests.api.conftest import PASSWORD, Person
from tests.api.every_route import every_route, has_all
from tests.api.server import WebServer

ASIDE = {"login_network", "session", "throttle"}
"""What is counted or noted whatever becomes of the request."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[LoggedQuery]]:
    """What the database is asked from now on, each time that somebody has taken a connection."""
    asked: list[list[LoggedQuery]] = []
    connection = Database.connection

    @contextlib.asynccontextmanager
    async def watched(db: Database) -> AsyncIterator[Connection]:
        statements: list[LoggedQuery] = []
        asked.append(statements)
        async with connection(db) as one:
            with one.query_logger(statements.append):
                yield one

    monkeypatch.setattr(Database, "connection", watched)
    return asked


def _ids_in(value: Any) -> set[Any]:
    """The ids among the parameters of a statement, and its words."""
    if isinstance(value, list | tuple | set):
        return {one for part in value for one in _ids_in(part)}
    return {value} if isinstance(value, UUID | bytes | str) else set()


class Tables:
    """Finds in statements what they are about."""

    def __init__(self, server: WebServer) -> None:
        columns = server.sql(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        )
        owned = "|".join({"app_user"} | {name for name, column in columns if column in {"user_id", "account_id"}})
        written = "|".join({name for name, _ in columns} - ASIDE)
        self._owned = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:{owned})\b")
        self._written = re.compile(rf"\b(?:INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+(?:{written})\b")

    def is_somebodys(self, one: LoggedQuery) -> bool:
        """Whether it reads or writes rows that say whose they are: others are found by the id of one that does."""
        return bool(self._owned.search(one.query))

    def writes(self, one: LoggedQuery) -> bool:
        """Whether it writes what the request is for."""
        return bool(self._written.search(one.query))


@pytest.mark.usefixtures("no_wait_for_codes")
def test_each_statement_that_serves_alice_names_her_and_all_is_written_in_one_transaction(
    alice: Person, server: WebServer, asked: list[list[LoggedQuery]]
) -> None:
    """By her id, her account's or her session's, or by her own name.

    She is answered on each route, so that Charlie, in the tests of tenants, was refused what there is.
    """
    alices, tables = has_all(alice), Tables(server)
    nameless, scattered, wrote = set(), set(), set()
    for asks in sorted(every_route(server), key=lambda asks: "{" not in asks.path):
        with server.client() as again:  # another session than the one that she may end
            again.post("/api/auth/login", json={"username": alice.username, "password": PASSWORD})
            hers: set[Any] = {alice.username} | {
                one for (one,) in server.sql("SELECT id FROM app_user UNION SELECT id FROM account")
            }
            hers |= {one for (one,) in server.sql("SELECT sid_hash FROM session")}
            for one in alices if asks.names_something else alices[:1]:
                path, given = next(asks.of(one))
                asked.clear()
                with again.stream(asks.method, path, **given) as answer:
                    if asks.path == "/api/events":
                        next(answer.iter_text())
                server.run(lambda _: asyncio.sleep(0))  # the loop notes in its next turn what was asked
                for said in [said for statements in asked for said in statements if tables.is_somebodys(said)]:
                    if not hers & _ids_in(said.args):
                        nameless.add((asks.method, asks.path, said.query))
                writing = [statements for statements in asked if any(map(tables.writes, statements))]
                whole = [one for one in writing if one[0].query == "BEGIN;" or sum(map(tables.writes, one)) == 1]
                wrote |= {asks.path for _ in writing}
                if len(writing) > 1 or whole != writing:
                    scattered.add((asks.method, asks.path, str([[said.query for said in one] for one in writing])))
                if answer.status_code != 404:
                    break
            assert answer.status_code != 404, f"{asks}: whoever adds a route gives Alice what it is about"
    assert nameless == set()
    assert scattered == set()
    assert {"/api/messages/send", "/api/messages/{message_id}", "/api/whatsapp/hold"} <= wrote
