"""Charlie never sees, changes or learns of anything that is Alice's, whatever he asks.

The routes are those of the application, and what is Alice's is what it has told her: a new route is asked as well.
"""

from typing import Any

import pytest

from chatwren.domain.clock import now
from tests.api.conftest import Person
from tests.api.every_route import ALICE_PHONE, every_route, has_all
from tests.api.server import WebServer
from tests.api.test_access import declared


def _rows(alice: Person) -> list[Any]:
    """All that is stored for Alice."""
    columns = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    of_user = alice.server.sql(f"{columns} AND column_name = 'user_id' ORDER BY 1")
    of_account = alice.server.sql(f"{columns} AND column_name = 'account_id' ORDER BY 1")
    mine = "account_id IN (SELECT id FROM account WHERE user_id = $1)"
    wheres = {table: mine for table, _ in of_account} | {table: "user_id = $1" for table, _ in of_user}
    wheres["app_user"] = "id = $1"
    return [
        sorted(alice.server.sql(f"SELECT x::text FROM {table} x WHERE {where}", alice.id))
        for table, where in wheres.items()
    ]


@pytest.mark.usefixtures("no_wait_for_codes")
@pytest.mark.parametrize("linked", [True, False], ids=["with an account", "without an account"])
def test_charlie_sees_and_changes_nothing_of_alices(
    alice: Person,
    server: WebServer,
    person: Any,
    *,
    linked: bool,
) -> None:
    alices = has_all(alice)
    before = _rows(alice)
    for number, asks in enumerate(every_route(server)):
        charlie: Person = person(f"charlie{number}")  # what he asks for may end his session
        if linked:
            charlie.link(f"91987654{number:04}", groups=[], groups_at=now())
        for one in alices if asks.names_something else alices[:1]:
            for path, given in asks.of(one):
                with charlie.http.stream(asks.method, path, **given) as answer:
                    endless = answer.headers.get("content-type", "").startswith("text/event-stream")
                    told = next(answer.iter_text()) if endless else answer.read().decode()
                for word in {"alice", "Alice", ALICE_PHONE, *alices} - {one}:
                    assert word not in told, f"{asks.method} {path} {given}: {told}"
                if path != asks.path and "params" not in given:
                    assert answer.status_code == 404, f"{asks.method} {path}: {told}"
    assert _rows(alice) == before


def test_every_route_that_needs_somebody_is_asked(server: WebServer) -> None:
    assert len(every_route(server)) == len([scope for scope in declared(server.app).values() if scope is not None])
