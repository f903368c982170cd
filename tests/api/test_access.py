"""Who may call what: every handler says so, and the guard holds it."""

import httpx
import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute

from chatwren.domain.caller import WAYS, Scope, Way
from chatwren.web.access import access_of
from chatwren.web.openapi import routes
from tests.api.conftest import Person
from tests.api.server import WebServer

ANYBODY = {
    "POST /api/auth/register",
    "POST /api/auth/login",
    "POST /api/auth/logout",
    "GET /qr/linked.svg",
    "GET /qr/{token:str}/{name:str}",
    "GET /health/live",
    "GET /health/ready",
    "GET /metrics",
    "GET /openapi.json",
    "GET /docs",
    "GET /static/{name:str}",
    "GET /",
}
"""What strangers may call. Whoever adds to this knows why."""


def declared(app: Litestar) -> dict[str, Scope | None]:
    """What each handler declares."""
    return {
        f"{min(handler.http_methods)} {route.path}": access_of(handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "OPTIONS" not in handler.http_methods
    }


def test_every_handler_declares_who_may_call_it(server: WebServer) -> None:
    assert {name for name, scope in declared(server.app).items() if scope is None} == ANYBODY


def test_a_handler_that_declares_nothing_does_not_start() -> None:
    @get("/forgotten")
    async def forgotten() -> None:
        """Nobody has thought of who may call it."""

    with pytest.raises(TypeError, match="does not declare"):
        access_of(forgotten)


def test_without_a_session_whatever_needs_a_scope_is_401(server: WebServer, http: httpx.Client) -> None:
    for route in routes(server.app):
        path = route.path.replace("{message_id}", "msg_1").replace("{bulk_id}", "bulk_1")
        answer = http.request(route.method, path.replace("{media_id}", "1").replace("{session}", "1"))
        assert (answer.status_code == 401) == (route.operation.access is not None), path


@pytest.mark.parametrize("scope", Scope)
def test_a_way_that_does_not_give_a_scope_is_refused(
    alice: Person, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a key of fewer scopes would be: by the table, before the handler."""
    monkeypatch.setitem(WAYS, scope, ())
    calls = {Scope.READ: ("GET", "/api/users/me"), Scope.SEND: ("POST", "/api/messages/send")}
    calls |= {Scope.CONTROL: ("POST", "/api/whatsapp/hold"), Scope.ADMIN: ("GET", "/api/users/me/sessions")}
    for one, (method, path) in calls.items():
        answer = alice.http.request(method, path)
        assert (answer.status_code == 403 and answer.json()["code"] == "scope_missing") == (one is scope), path


def test_a_session_gives_every_scope() -> None:
    assert all(Way.SESSION in ways for ways in WAYS.values())
