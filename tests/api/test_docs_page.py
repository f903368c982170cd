"""The page /docs: what it lists, and that its samples work as printed."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from PIL import Image

import chatwren
from chatwren.domain import errors
from chatwren.domain.clock import now
from chatwren.domain.limits import REACHED
from chatwren.domain.messages import OUTCOME_UNKNOWN
from chatwren.domain.reasons import ENGLISH
from chatwren.web.http.errors import STATUS
from chatwren.web.pages import page
from tests.api.conftest import Person
from tests.api.server import WebServer

_COMMAND = re.compile(r'<pre class="command(?: file)?">(.*?)</pre>', re.DOTALL)
_LOGIN = {"username": "johndoe", "password": "securePassword123"}
_WORDS = Path(page.__file__).parent / "locale" / "en.toml"
_ELSEWHERE = {"being_deleted"}  # what a command says, and no route
_STATUS = {"/api/whatsapp/paircode": 409, "/qr/4q2Yc1p0bXJ8/1810548000.svg": 404}
"""Of the samples that cannot work again and again: an account is linked already, and nobody can guess the token."""


@pytest.fixture
def html(http: httpx.Client) -> str:
    return http.get("/docs").text


def _codes() -> Iterator[str]:
    """Every code that the source gives an error."""
    for file in Path(chatwren.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                yield str(node.value.value)


def test_every_code_of_an_error_is_listed_with_its_status(html: str) -> None:
    listed = tomllib.loads(_WORDS.read_text())["docs"]["codes"]
    status_of = {code: status for status, codes in listed.items() for code in codes}
    assert len(status_of) == sum(len(codes) for codes in listed.values())
    known = {errors.ChatwrenError.default_code, *(kind.default_code for kind in STATUS)}
    assert status_of.keys() == (known | {*_codes(), REACHED, OUTCOME_UNKNOWN}) - _ELSEWHERE
    for kind, status in STATUS.items():
        assert status_of[kind.default_code] == str(status.value)
    for code in (*status_of, *(one for one in ENGLISH if "." not in one)):
        assert f"<code>{code}</code>" in html, code


def test_its_routes_are_in_groups_and_each_in_one(html: str, http: httpx.Client) -> None:
    nav = html.partition("<nav")[2].partition("</nav>")[0]
    groups = re.findall(r'<h2><a href="#group-(\w+)">', nav)
    assert len(groups) == len(set(groups)) > 4
    operations = [one for methods in http.get("/openapi.json").json()["paths"].values() for one in methods.values()]
    for anchor in (*(one["operationId"] for one in operations), *(f"group-{one}" for one in groups), "times", "errors"):
        assert nav.count(f'href="#{anchor}"') == html.count(f'id="{anchor}"') == 1, anchor


def test_it_says_how_times_are_read_and_leads_to_the_phones(html: str, serve: Callable[..., WebServer]) -> None:
    assert "CHATWREN_TIMEZONE" in html
    with serve(sandbox_port=8765).client() as client:
        assert 'href="//localhost:8765/"' in client.get("/docs").text
    with serve(sandbox=False).client() as client:
        assert "//localhost:" not in client.get("/docs").text


def test_its_samples_name_this_server_and_nothing_that_is_null(
    html: str, http: httpx.Client, server: WebServer
) -> None:
    assert f"&#34;qrCodeUrl&#34;: &#34;{server.url}/qr/" in html
    assert "localhost:8000" not in html
    assert ".invalid" not in html
    commands = [unescape(one) for one in _COMMAND.findall(html)]
    assert not [one for one in commands if "null" in one or "{message_id}" in one]
    of_send = [one for one in commands if "/api/messages/send" in one]
    assert ["mediaFile=@picture.png" in one for one in of_send] == [False, True]
    assert ".invalid" not in http.get("/openapi.json").text


def test_every_sample_works_as_printed(html: str, http: httpx.Client, server: WebServer, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("curl is missing")
        pytest.skip("not run: no curl here")
    Image.new("RGB", (32, 24)).save(tmp_path / "picture.png")
    commands = [shlex.split(unescape(one)) for one in _COMMAND.findall(html)]
    paths = [next(word for word in one if word.startswith(server.url)).removeprefix(server.url) for one in commands]

    def run(number: int, ids: dict[str, str]) -> None:
        command = commands[number]
        for printed, real in ids.items():
            command = [word.replace(printed, real) for word in command]
        streams = ["--max-time", "2"] if paths[number] == "/api/events" else []
        done = subprocess.run(
            [*command, *streams, "--silent", "--show-error", "--write-out", "\n%{http_code}"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout.endswith(f"\n{_STATUS.get(paths[number], 200)}"), f"{shlex.join(command)}\n{done.stdout}"

    first = [paths.index(f"/api/auth/{path}") for path in ("register", "login")]
    last = [paths.index(path) for path in ("/api/users/me/password", "/api/whatsapp/logout", "/api/auth/logout")]
    for number in first:
        run(number, {})
    john = _john(server, http)
    for number in range(len(commands)):
        if number not in {*first, *last}:
            run(number, _ids(john, commands[number]))
    for number in last:
        run(number, {})


def _john(server: WebServer, http: httpx.Client) -> Person:
    """Who has registered as the page does, with an account."""
    ((user_id,),) = server.sql("SELECT id FROM app_user")
    john = Person("johndoe", user_id, "", http, server)
    john.link("1234567890", groups=[], groups_at=now())
    return john


def _ids(john: Person, command: list[str]) -> dict[str, str]:
    """What there is for a sample that names a message, a bulk, a file or a session."""
    line = " ".join(command)
    assert john.http.post("/api/auth/login", json=_LOGIN).status_code == 200  # a sample ends other sessions
    if "msg_0197" in line:
        accepted = john.http.post("/api/messages/send", data={"phoneId": "+1234567890", "message": "Hello!"}).json()
        if "/retry" in line:
            john.server.sql(
                "UPDATE message SET status = 'failed', claimed_at = now(), ended_at = now(), attempts = 1,"
                " error_code = 'rejected', error_message = 'refused' WHERE id = $1",
                UUID(accepted["messageId"].partition("_")[2]),
            )
        return {"msg_0197a3f2c9e07c3b9d5f8e6a41b2c3d4": accepted["messageId"]}
    if "bulk_0197" in line:
        row = '{"phoneId": "+1234567890", "message": "Hello!"}'
        answer = john.http.post("/api/messages/bulk", content=row, headers={"content-type": "application/x-ndjson"})
        return {"bulk_0197a3f2c9e07c3b9d5f8e6a41b2c3d4": answer.json()["bulkId"]}
    if "/api/media/" in line:
        files = {"mediaFile": ("prices.txt", b"tea 2", "text/plain")}
        john.http.post("/api/messages/send", data={"phoneId": "+1234567890", "message": ""}, files=files)
        newest: dict[str, Any] = john.http.get("/api/messages/queue").json()["messages"][0]
        return {"0197a3f2c9e07c3b9d5f8e6a41b2c3d4": newest["media"]["id"]}
    if "/sessions/" in line:
        with john.server.client() as elsewhere:
            assert elsewhere.post("/api/auth/login", json=_LOGIN).status_code == 200
            (own,) = [one for one in elsewhere.get("/api/users/me/sessions").json()["sessions"] if one["current"]]
        return {"7d1a2f0c9b8e4d5f6a7b8c9d0e1f2a3b": own["id"]}
    return {}
