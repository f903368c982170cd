"""The session cookie: readable and writable by the ecosystem that its format comes from."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from urllib.parse import quote, unquote

import httpx
import pytest

from chatwren.web.http.cookie import SessionCookie
from tests.api.conftest import Person
from tests.api.server import SECRET, WebServer

SID = "Zk3-sid_of.a test"


def _value(cookie: str) -> str:
    return unquote(cookie.partition("=")[2].partition(";")[0])


def test_the_value_is_s_colon_id_dot_signature(alice: Person) -> None:
    sid, _, signature = _value(alice.cookie).removeprefix("s:").rpartition(".")
    digest = hmac.new(SECRET.encode(), sid.encode(), hashlib.sha256).digest()
    assert signature == base64.b64encode(digest).decode().rstrip("=")
    assert alice.cookie == f"connect.sid={quote(_value(alice.cookie), safe='')}"


@pytest.fixture(scope="session")
def cookie_signature(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """Runs `sign` or `unsign` of the npm package cookie-signature with our secret."""
    folder = tmp_path_factory.mktemp("npm")
    node, npm = shutil.which("node"), shutil.which("npm")
    missing = "not run: no node or npm here"
    if node and npm:
        (folder / "package.json").write_text("{}")
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "cookie-signature@1.2.2"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        missing = "" if done.returncode == 0 else f"not run: npm cannot install cookie-signature: {done.stderr[-200:]}"
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)

    def run(function: str, value: str) -> str:
        script = "const [f, v, s] = process.argv.slice(1); console.log(require('cookie-signature')[f](v, s))"
        done = subprocess.run(
            [str(node), "-e", script, function, value, SECRET], cwd=folder, capture_output=True, text=True, check=True
        )
        return done.stdout.rstrip("\n")

    return run


def test_the_package_verifies_ours(alice: Person, cookie_signature: Callable[[str, str], str]) -> None:
    signed = _value(alice.cookie).removeprefix("s:")
    assert cookie_signature("unsign", signed) == signed.rpartition(".")[0]


def test_one_that_the_package_signs_is_accepted(alice: Person, cookie_signature: Callable[[str, str], str]) -> None:
    sid = _value(alice.cookie).removeprefix("s:").rpartition(".")[0]
    value = quote(f"s:{cookie_signature('sign', sid)}", safe="!'()*")  # encodeURIComponent
    answer = httpx.get(f"{alice.server.url}/api/users/me", headers={"cookie": f"connect.sid={value}"}, trust_env=False)
    assert answer.json()["username"] == "alice"


@pytest.mark.parametrize("sid", [SID, "x", "a.b.c", "ü"])
@pytest.mark.parametrize("secret", [SECRET, "ключ"])
def test_what_is_signed_is_read_again(sid: str, secret: str) -> None:
    cookie = SessionCookie((secret,))
    assert cookie.read([cookie.line(sid, secure=False).partition(";")[0]]) == sid


@pytest.mark.parametrize(
    "header",
    [
        "",
        "other=1",
        "connect.sid=",
        "connect.sid",
        "connect.sid=s%3A",
        "connect.sid=s%3Aabc",
        "connect.sid=s%3Aabc.",
        "connect.sid=s%3A.abc",
        "connect.sid=abc.def",
        "connect.sid=%FF%FE%00",
        "connect.sid=s%3Aabc.%C3%BC",
        "connect.sid=j%3A%7B%7D",
        ";;;=;connect.sid=s%3Aabc.def;",
    ],
)
def test_what_we_did_not_sign_is_no_session(header: str, http: httpx.Client) -> None:
    answer = http.get("/api/users/me", headers={"cookie": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_a_changed_id_or_signature_is_no_session(alice: Person, http: httpx.Client) -> None:
    for forged in (alice.cookie.replace("=s%3A", "=s%3Ax"), alice.cookie + "x", alice.cookie[:-1]):
        assert http.get("/api/users/me", headers={"cookie": forged}).status_code == 401


def test_an_id_without_a_signature_is_no_session(alice: Person, http: httpx.Client) -> None:
    sid, _, signature = _value(alice.cookie).removeprefix("s:").rpartition(".")
    for value in (f"s:{sid}", sid, f"{sid}.{signature}", f"s:{sid}."):
        refused = http.get("/api/users/me", headers={"cookie": f"connect.sid={quote(value, safe='')}"})
        assert refused.status_code == 401, value


def test_the_first_of_two_counts(alice: Person, bob: Person, http: httpx.Client) -> None:
    both = f"{alice.cookie}; {bob.cookie}"
    assert http.get("/api/users/me", headers={"cookie": both}).json()["username"] == "alice"
    bad = f"connect.sid=s%3Aabc.def; {bob.cookie}"
    assert http.get("/api/users/me", headers={"cookie": bad}).status_code == 401


def test_a_quoted_or_unencoded_value_is_read(alice: Person, http: httpx.Client) -> None:
    name, _, value = alice.cookie.partition("=")
    for spelling in (f'{name}="{value}"', f"{name}={unquote(value)}", f"a=b; {name} = {value}"):
        assert http.get("/api/users/me", headers={"cookie": spelling}).status_code == 200, spelling


def test_secrets_rotate(alice: Person, serve: Callable[..., WebServer]) -> None:
    later = serve(cookie_secrets=("a new secret", SECRET))
    with later.client(headers={"cookie": alice.cookie}) as client:
        assert client.get("/api/users/me").status_code == 200
        answer = client.post("/api/auth/login", json={"username": "alice", "password": "correct horse battery"})
    value = _value(answer.headers["set-cookie"])
    sid = value.removeprefix("s:").rpartition(".")[0]
    assert SessionCookie(("a new secret",)).line(sid, secure=False).partition(";")[0].endswith(quote(value, safe=""))
    without_the_old = serve(cookie_secrets=("a new secret",))
    with without_the_old.client(headers={"cookie": alice.cookie}) as client:
        assert client.get("/api/users/me").status_code == 401


def test_unset_secrets_are_made_once_for_all_processes(serve: Callable[..., WebServer]) -> None:
    one, other = serve(cookie_secrets=()), serve(cookie_secrets=())
    with one.client() as client:
        body = {
            "name": "Dora",
            "phone": "+1234567890",
            "email": "dora@example.com",
            "username": "dora",
            "password": "securePassword123",
        }
        assert client.post("/api/auth/register", json=body).status_code == 200
        cookie = f"connect.sid={client.cookies['connect.sid']}"
    with other.client(headers={"cookie": cookie}) as client:
        assert client.get("/api/users/me").json()["username"] == "dora"
    assert len(one.sql("SELECT FROM secret")) == 1


@pytest.mark.parametrize(
    ("settings", "attributes"),
    [
        ({}, "Path=/; HttpOnly; SameSite=Lax"),
        ({"cookie_samesite": "strict"}, "Path=/; HttpOnly; SameSite=Strict"),
        ({"cookie_samesite": "none"}, "Path=/; HttpOnly; Secure; SameSite=None"),
        ({"public_url": "https://wa.example.com"}, "Path=/; HttpOnly; Secure; SameSite=Lax"),
    ],
)
def test_its_attributes_follow_the_settings(
    settings: dict[str, str], attributes: str, alice: Person, serve: Callable[..., WebServer]
) -> None:
    web = serve(**settings)
    with web.client() as client:
        body = json.dumps({"username": alice.username, "password": "correct horse battery"})
        answer = client.post("/api/auth/login", content=body, headers={"content-type": "application/json"})
        assert answer.headers["set-cookie"].partition("; ")[2] == attributes
        out = client.post("/api/auth/logout")
        first, _, rest = attributes.partition("; ")
        expired = f"connect.sid=; {first}; Expires=Thu, 01 Jan 1970 00:00:00 GMT; {rest}"
        assert out.headers["set-cookie"] == expired


def test_the_session_row_holds_no_id(alice: Person, server: WebServer) -> None:
    sid = _value(alice.cookie).removeprefix("s:").rpartition(".")[0]
    ((stored,),) = server.sql("SELECT sid_hash FROM session")
    assert stored == hashlib.sha256(sid.encode()).digest()
