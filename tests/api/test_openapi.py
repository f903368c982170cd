"""The OpenAPI document says what the routes do, and the page is made of it."""

import os
import re
import shlex
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from chatwren.domain.clock import now
from chatwren.web.api.reasons import WAYS
from chatwren.web.forms import Form
from chatwren.web.openapi import TOMORROW, Route, routes
from tests.api.conftest import Person
from tests.api.server import WebServer

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
ENDLESS = "/api/events"
ENDS_THE_SESSION = ("/api/auth/logout", "/api/auth/login", "/api/auth/register")


@pytest.fixture
def shop(alice: Person) -> Person:
    """Alice with an account and all that its routes could wait for a worker for."""
    group = {"id": "1@g.us", "name": "Family", "participants": ["+1234567890"], "size": 3}
    alice.link("919876543210", groups=[group], groups_at=now(), connected=False)
    return alice


@pytest.fixture
def document(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/openapi.json").json()
    return found


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_is_sent_is_answered_as_documented(
    mode: GenerationMode, document: dict[str, Any], shop: Person
) -> None:
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        raw = operation.definition.raw
        can_be_wrong = "requestBody" in raw or any(one["in"] == "query" for one in raw.get("parameters", ()))
        if operation.path != ENDLESS and (can_be_wrong or mode == GenerationMode.POSITIVE):
            _is_documented(operation, mode, shop)


def _is_documented(
    operation: schemathesis.APIOperation[Any, Any, Any, Any], mode: GenerationMode, shop: Person
) -> None:
    cookie = "" if operation.path in ENDS_THE_SESSION else shop.cookie
    documented = operation.definition.raw["responses"]

    @settings(
        max_examples=5,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case[Any]) -> None:
        answer = case.call(base_url=shop.server.url, headers={"cookie": cookie})
        case.validate_response(answer, checks=CHECKS)
        assert str(answer.status_code) in documented, answer.text

    check()


def test_a_route_reads_the_fields_that_are_documented(
    shop: Person, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[str] = set()
    for method in ("read", "file", "given", "peek"):
        unwatched = getattr(Form, method)

        def watched(form: Form, name: str, *rest: Any, unwatched: Any = unwatched) -> Any:
            read.add(name)
            return unwatched(form, name, *rest)

        monkeypatch.setattr(Form, method, watched)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            documented = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
            for body in operation.get("requestBody", {}).get("content", {}).values():
                shape = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
                documented |= shape["properties"].keys()
            if documented:
                read.clear()
                some = path.replace("{message_id}", "msg_" + "0" * 32).replace("{bulk_id}", "bulk_" + "0" * 32)
                shop.http.request(method, some, json={})
                assert read == documented, f"{method} {path}"


def test_every_route_is_documented_and_named_once(server: WebServer, document: dict[str, Any]) -> None:
    app = server.server.config.app
    documented: list[Route] = list(routes(app))  # type: ignore[arg-type]
    assert len({route.name for route in documented}) == len(documented)
    known = {(route.method.lower(), route.path) for route in documented}
    assert known == {(method, path) for path, methods in document["paths"].items() for method in methods}
    mentioned = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()
    for _, path in known:
        if path.startswith("/api/"):
            assert re.sub(r"{\w+}", "{id}", path) in mentioned, path


def test_what_a_reason_says_can_be_done_is_a_route(document: dict[str, Any]) -> None:
    for way in WAYS.values():
        method, path = way.split()
        assert method.lower() in document["paths"][path.replace("{id}", "{message_id}")], way


def test_examples_lie_ahead(document: dict[str, Any]) -> None:
    body = document["paths"]["/api/messages/schedule"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"]["scheduledTime"] > now().isoformat()
    assert TOMORROW not in str(document)


def test_the_page_shows_each_route_and_fetches_nothing(http: httpx.Client, document: dict[str, Any]) -> None:
    answer = http.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert path in answer.text
            assert unescape(operation["summary"]) in unescape(answer.text)
    assert "<script" not in answer.text
    assert re.findall(r'(?:src|href)="(?!#|/|data:)[^"]*"', answer.text) == []
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert http.get("/").headers["location"] == "/docs"


def test_its_curl_lines_work_with_a_cookie_jar(http: httpx.Client, server: WebServer, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("curl is missing")
        pytest.skip("not run: no curl here")
    page = http.get("/docs").text
    lines = [unescape(one) for one in re.findall(r'<pre class="command">(.*?)</pre>', page, re.DOTALL)]
    by_address = {line: next(word for word in shlex.split(line) if word.startswith(server.url)) for line in lines}

    def run(path: str, method: str = "") -> str:
        (line,) = (one for one, url in by_address.items() if url == server.url + path and (method in one or not method))
        command = [*shlex.split(line), "--silent", "--show-error", "--write-out", "%{http_code}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.endswith("200"), f"{line}\n{done.stdout}"
        return done.stdout

    run("/api/auth/register")
    run("/api/auth/login")
    run("/api/users/me", "PATCH")
    ((user_id,),) = server.sql("SELECT id FROM app_user")
    Person("johndoe", user_id, "", http, server).link("1234567890", groups=[], groups_at=now())
    for path in ("whatsapp/status", "whatsapp/createqr", "whatsapp/groups", "messages/send", "messages/schedule"):
        run(f"/api/{path}")
    assert '"total":2' in run("/api/messages/queue")
    run("/api/auth/logout")
