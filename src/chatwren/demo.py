"""The main job, done as any client of the HTTP API would do it: sign up, link a phone, send, schedule, see it read."""

import asyncio
import io
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw

SHOP_PHONE = "919812345678"
CUSTOMER_PHONE = "919876543210"
OWN_PHONE = "919833334444"
"""Is offered for the user's own account. The README's user has yet another: a number is linked by one user."""
_PATIENCE_SECONDS = 60
_SCHEDULE_AHEAD = timedelta(seconds=5)


class DemoError(Exception):
    """The demo did not come to its end; the sentence says where it stopped."""


@dataclass(frozen=True, slots=True)
class Login:
    """The demo's user. Kept in the data directory, so that the next run finds the account still linked."""

    username: str
    password: str


async def run(*, base_url: str, phones_url: str, data_dir: Path, say: Callable[[str], None]) -> Login:
    """Do the main job against a running Chatwren in sandbox mode, saying each step with its time.

    Args:
        base_url: of the HTTP API.
        phones_url: of the sandbox's simulated phones.
        data_dir: where the demo's login, cookie jar and picture are kept.
        say: is called with each line.

    Raises:
        DemoError: a step failed, or took longer than a minute.
    """
    started = time.monotonic()

    def step(text: str) -> None:
        say(f"{time.monotonic() - started:6.2f} s  {text}")

    async with (
        httpx.AsyncClient(base_url=base_url, timeout=30, trust_env=False) as api,
        httpx.AsyncClient(base_url=phones_url, timeout=30, trust_env=False) as phones,
    ):
        login = await _sign_in(api, data_dir, step)
        _write_cookie_jar(cookie_jar(data_dir), api)
        await _link(api, phones, step)
        await _send_and_follow(api, _paint(picture(data_dir)), step)
    return login


def cookie_jar(data_dir: Path) -> Path:
    """Where the demo leaves its session for curl: `curl -b FILE`."""
    return data_dir / "demo-cookies.txt"


def picture(data_dir: Path) -> Path:
    """Where the demo leaves the picture that it sends: something for others to send too."""
    return data_dir / "demo-picture.png"


def _write_cookie_jar(path: Path, api: httpx.AsyncClient) -> None:
    # Written by hand: http.cookiejar files a host without a dot as "localhost.local", which curl does not send to.
    path.touch(mode=0o600)
    lines = (
        f"#HttpOnly_{api.base_url.host}\tFALSE\t/\tFALSE\t0\t{cookie.name}\t{cookie.value}\n"
        for cookie in api.cookies.jar
    )
    path.write_text("# Netscape HTTP Cookie File\n" + "".join(lines))


async def _sign_in(api: httpx.AsyncClient, data_dir: Path, step: Callable[[str], None]) -> Login:
    path = data_dir / "demo.json"
    if path.exists():
        login = Login(**json.loads(path.read_text()))
        answer = await api.post("/api/auth/login", json={"username": login.username, "password": login.password})
        if answer.is_success:
            step(f"logged in as {login.username}")
            return login
    login = Login(f"demo-{secrets.token_hex(3)}", secrets.token_urlsafe(12))
    await _ok(
        api.post(
            "/api/auth/register",
            json={
                "name": "Asha's Sari Shop",
                "phone": f"+{SHOP_PHONE}",
                "email": "asha@example.com",
                "username": login.username,
                "password": login.password,
            },
        )
    )
    path.touch(mode=0o600)
    path.write_text(json.dumps({"username": login.username, "password": login.password}))
    step(f"registered the user {login.username}")
    return login


async def _link(api: httpx.AsyncClient, phones: httpx.AsyncClient, step: Callable[[str], None]) -> None:
    qr = await _ok(api.get("/api/whatsapp/createqr"))
    if qr["status"] == "authenticated":
        step("the WhatsApp account is still linked from an earlier run")
    else:
        step(f"fetched the QR code: {qr['qrCodeUrl']}")
        await _ok(phones.post(f"/phones/{SHOP_PHONE}/scan", json={"qr": qr["qrCode"]}))
        step(f"the simulated phone +{SHOP_PHONE} scanned it")

    async def linked() -> Any:
        state = await _ok(api.get("/api/whatsapp/status"))
        return state if state["status"] == "authenticated" and state["connected"] else None

    state = await _until(linked, "the account to be linked and connected")
    step(f"linked as {state['phoneNumber']}")


async def _send_and_follow(api: httpx.AsyncClient, image: bytes, step: Callable[[str], None]) -> None:
    to = f"+{CUSTOMER_PHONE}"
    wanted: dict[str, str] = {}

    answer = await _ok(
        api.post("/api/messages/send", data={"phoneId": to, "message": "Hello! Your order is ready to collect."})
    )
    wanted[answer["messageId"]] = "text"
    step(f"accepted a text: {answer['messageId']}")

    answer = await _ok(
        api.post(
            "/api/messages/send",
            data={"phoneId": to, "message": "This is how it turned out."},
            files={"mediaFile": ("sari.png", image, "image/png")},
        )
    )
    wanted[answer["messageId"]] = "picture"
    step(f"accepted a picture: {answer['messageId']}")

    when = datetime.now(UTC) + _SCHEDULE_AHEAD
    answer = await _ok(
        api.post(
            "/api/messages/schedule",
            json={
                "phoneId": to,
                "message": "Thank you for shopping with us! Please reply to this message if you need any help.",
                "scheduledTime": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "aiModifications": {"useSynonyms": True, "addEmojis": True, "shuffleSentences": False},
            },
        )
    )
    wanted[answer["messageId"]] = "scheduled message"
    step(f"accepted for {answer['scheduledFor']}: {answer['messageId']}")
    step(f"    it will read: {answer['preview']}")

    seen: dict[str, str] = {}

    async def all_read() -> Any:
        listed = await _ok(api.get("/api/messages/queue", params={"page": 1, "limit": 20}))
        for message in listed["messages"]:
            if (what := wanted.get(message["id"])) is None:
                continue
            state = message["receipt"] or message["status"]
            if seen.get(message["id"]) != state:
                seen[message["id"]] = state
                reason = f" ({message['reason']['message']})" if message["reason"] else ""
                step(f"{what}: {state}{reason}")
            if message["status"] in ("failed", "cancelled", "expired"):
                raise DemoError(f"The {what} ended as {message['status']}: {message['reason']}")
        return all(seen.get(one) == "read" for one in wanted)

    await _until(all_read, "every message to be read")


def _paint(path: Path) -> bytes:
    image = Image.new("RGB", (480, 320), "#7a1f3d")
    draw = ImageDraw.Draw(image)
    for at in range(0, 480, 24):
        draw.line([(at, 0), (480 - at, 320)], fill="#f2b84b", width=3)
    draw.rectangle([20, 20, 460, 300], outline="#fff4dc", width=6)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


async def _ok(request: Any) -> Any:
    try:
        answer: httpx.Response = await request
    except httpx.HTTPError as error:
        raise DemoError(f"{error.request.method} {error.request.url}: {error!r}") from error
    if not answer.is_success:
        raise DemoError(f"{answer.request.method} {answer.request.url} answered {answer.status_code}: {answer.text}")
    return answer.json()


async def _until(check: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if result := await check():
            return result
        await asyncio.sleep(0.1)
    raise DemoError(f"Waited {_PATIENCE_SECONDS} s for {what}.")
