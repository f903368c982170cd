"""What a 401 says of a session that a browser has left out."""

from typing import Literal

import pytest

from chatwren.web.http.sites import LOG_IN, missing_session


def told(headers: dict[str, str], samesite: Literal["lax", "strict", "none"] = "lax") -> str:
    return missing_session(headers, samesite=samesite)


@pytest.mark.parametrize(
    ("page", "asked", "named"),
    [
        ("http://localhost:3000", "127.0.0.1:8000", "on localhost and asks 127.0.0.1:"),
        ("http://127.0.0.1:5173", "localhost:8000", "on 127.0.0.1 and asks localhost:"),
        ("http://localhost", "127.0.0.1", "on localhost and asks 127.0.0.1:"),
        ("http://[::1]:3000", "localhost:8000", "on ::1 and asks localhost:"),
        ("http://localhost:3000", "[::1]:8000", "on localhost and asks ::1:"),
        ("http://127.0.0.1:3000", "127.0.0.2:8000", "on 127.0.0.1 and asks 127.0.0.2:"),
        ("http://localhost:3000", "0.0.0.0:8000", "on localhost and asks 0.0.0.0:"),
        ("http://app.localhost:3000", "localhost:8000", "on app.localhost and asks localhost:"),
        ("https://localhost:3000", "127.0.0.1:8000", "on localhost and asks 127.0.0.1:"),
    ],
)
def test_two_names_of_one_machine_are_both_told(page: str, asked: str, named: str) -> None:
    from_older_browser = {"origin": page, "host": asked}
    from_script = {**from_older_browser, "sec-fetch-site": "cross-site"}
    from_picture = {"referer": f"{page}/inbox?page=1", "host": asked, "sec-fetch-site": "cross-site"}
    for headers in (from_script, from_older_browser, from_picture):
        said = told(headers)
        assert said.startswith(f"The page is {named}")
        assert said.endswith("Use the same name in both.")


def test_a_page_of_another_site_is_told_what_its_cookie_needs() -> None:
    headers = {"origin": "https://shop.example.com", "host": "wa.example.net", "sec-fetch-site": "cross-site"}
    assert "on shop.example.com, which is another site than wa.example.net" in told(headers)
    assert "CHATWREN_COOKIE_SAMESITE=none" in told(headers)
    assert 'credentials: "include"' in told(headers, "none")
    assert "CHATWREN_COOKIE_SAMESITE" not in told(headers, "none")
    assert "of another site than wa.example.net" in told({**headers, "origin": "null"})


def test_a_page_on_another_port_is_told_to_include_credentials() -> None:
    headers = {"origin": "http://localhost:3000", "host": "localhost:8000", "sec-fetch-site": "same-site"}
    assert 'credentials: "include"' in told(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "127.0.0.1:8000"},
        {"host": "localhost:8000", "sec-fetch-site": "same-origin", "origin": "http://localhost:8000"},
        # a development server that passes requests on under another Host
        {"host": "127.0.0.1:8000", "sec-fetch-site": "same-origin", "origin": "http://localhost:3000"},
        {"host": "127.0.0.1:8000", "referer": "http://localhost:3000/"},
        {"host": "127.0.0.1:8000", "sec-fetch-site": "none"},
        {"host": "wa.example.net", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        {"host": "localhost:8000", "origin": "http://localhost:3000"},
        {"host": "wa.example.net", "origin": "https://shop.example.net"},  # perhaps of one site
        {"host": "localhost:8000", "origin": "\ud800 http://["},
    ],
)
def test_nothing_is_guessed(headers: dict[str, str]) -> None:
    assert told(headers) == LOG_IN
