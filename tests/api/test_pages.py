"""Pages for people: what they load, and what is shown when one goes wrong."""

import httpx
import pytest

from tests.api.conftest import Person
from tests.api.server import WebServer


@pytest.mark.parametrize("accepts", ["text/html", "application/json", "application/problem+json"])
def test_a_page_that_goes_wrong_is_a_page_whatever_the_client_accepts(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch, accepts: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("<b>a secret detail</b>")

    monkeypatch.setattr("chatwren.web.pages.docs._made", fail)
    answer = http.get("/docs", headers={"accept": accepts})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"
    assert "Something went wrong here" in answer.text
    assert "secret detail" not in answer.text
    data = http.get("/openapi.json", headers={"accept": accepts})
    assert data.status_code == 500
    assert data.json()["code"] == "internal"


def test_what_the_api_refuses_is_json_for_a_browser_too(alice: Person) -> None:
    for path in ("/api/messages/msg_1", "/nothing", "/static/nothing.css"):
        answer = alice.http.get(path, headers={"accept": "text/html"})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


def test_a_page_loads_its_style_from_here_and_has_none_of_its_own(http: httpx.Client, server: WebServer) -> None:
    page = http.get("/docs")
    assert "<style" not in page.text
    assert " style=" not in page.text
    assert "unsafe" not in page.headers["content-security-policy"]
    assert 'href="/static/page.css"' in page.text
    style = http.get(f"{server.url}/static/page.css")
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
