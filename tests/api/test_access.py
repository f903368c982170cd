"""Who may call what: every handler says so, and the guard holds it."""

from typing import Any

import httpx
import pytest
from litestar import Litestar, Request, asgi, get
from litestar.routes import HTTPRoute

from chatwren.domain.caller import WAYS, Scope, Way
from chatwren.web.access import access_of, check_guarded, guard
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
        check_guarded(Litestar([forgotten], before_request=guard, openapi_config=None, logging_config=None))


async def _nothing(_request: Request[Any, Any, Any]) -> None:
    """What a handler may want done first."""


@pytest.mark.parametrize("more", [{"before_request": _nothing}, {"cache": True}], ids=["before", "remembered"])
def test_a_handler_that_is_asked_before_the_guard_does_not_start(more: dict[str, Any]) -> None:
    @get("/early", access=None, **more)
    async def early() -> None:
        """Whoever comes is answered, but first by something else."""

    with pytest.raises(TypeError, match="before the guard"):
        check_guarded(Litestar([early], before_request=guard, openapi_config=None, logging_config=None))


def test_what_is_no_route_of_http_does_not_start() -> None:
    @asgi("/mounted", copy_scope=True, access=None)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        """An application of its own, which asks nobody."""

    with pytest.raises(TypeError, match="no route of HTTP"):
        check_guarded(Litestar([mounted], before_request=guard, openapi_config=None, logging_config=None))


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
