"""Each route of the application that needs somebody, and what it can be asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chatwren.domain.clock import now
from chatwren.service import bulk
from chatwren.web.openapi import JSON, routes
from tests.api.conftest import Person, ahead
from tests.api.server import WebServer
from tests.api.test_bulk import JSONL, lines

ALICE_PHONE = "919811112222"
FIELDS = {"phoneId": "+1234567890", "message": "alice's own words", "scheduledTime": ahead(days=1)}


@dataclass(frozen=True, slots=True)
class Asks:
    """A request to a route, with what the documentation gives as an example of its body.

    Attributes:
        path: as documented, with the names of its parameters.
        fields: of the query and the body, those that may name something.
    """

    method: str
    path: str
    body: Any = None
    is_json: bool = True
    query: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @property
    def names_something(self) -> bool:
        """Whether anything in it may be somebody's."""
        return "{" in self.path or bool(self.query or self.fields)

    def of(self, one: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The route asked for what has this id: by its path, by each parameter of the query, by each field."""
        path = "/".join(one if part.startswith("{") else part for part in self.path.split("/"))
        given = self._given(self.body)
        yield path, given
        for name in self.query:
            yield path, {**given, "params": {name: one}}
        for name in self.fields:
            yield path, self._given({**self.body, name: one})

    def _given(self, body: Any) -> dict[str, Any]:
        if body is None:
            return {}
        return {"json": body} if self.is_json else {"files": {name: ("a.jsonl", text) for name, text in body.items()}}


def every_route(server: WebServer) -> list[Asks]:
    """All routes that need somebody."""
    with server.client() as client:
        document = client.get("/openapi.json").json()
    found = []
    for route in routes(server.app):
        if route.operation.access is None:
            continue
        operation = document["paths"][route.path][route.method.lower()]
        query = tuple(one["name"] for one in operation.get("parameters", ()) if one["in"] == "query")
        bodies = operation.get("requestBody", {}).get("content", {})
        body, fields, is_json = None, (), JSON in bodies
        if bodies:
            content = bodies[JSON if is_json else next(iter(bodies))]
            shape = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
            body, fields = content["example"], tuple(name for name in shape["properties"] if name.endswith("Id"))
        found.append(Asks(route.method, route.path, body, is_json, query, fields))
    return found


def _ids(value: Any) -> Iterator[str]:
    """All ids in an answer."""
    if isinstance(value, list):
        for one in value:
            yield from _ids(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if isinstance(one, str) and (name == "id" or name.endswith("Id")):
                yield one
            yield from _ids(one)


def has_all(alice: Person) -> list[str]:
    """Give Alice an account with a group, a message with a file, a bulk with a row. All ids of what she has."""
    group = {"id": "1@g.us", "name": "Alice's family", "participants": [], "size": 1}
    alice.link(ALICE_PHONE, groups=[group], groups_at=now())
    files = {"mediaFile": ("alice.csv", b"alice,file\n", "text/csv")}
    answers = [
        alice.http.post("/api/messages/send", data=FIELDS, files=files),
        alice.http.post("/api/messages/bulk", content=lines(FIELDS), headers=JSONL),
    ]
    alice.server.run(lambda db: bulk.accept_some(db, default_zone=None))
    paths = ("/api/users/me", "/api/users/me/sessions", "/api/whatsapp/groups", "/api/messages/queue")
    answers += [alice.http.get(path) for path in paths]
    assert {one.status_code for one in answers} == {200}
    return list(dict.fromkeys(one for answer in answers for one in _ids(answer.json())))
