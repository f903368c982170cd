"""A front end on another port, written against the user's document, works in a browser; a forged one does not."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import BrowserContext, Response, expect

from tests.browser.conftest import OpenFrontEnd
from tests.browser.system import System
from tests.browser.witness import Witness
from tests.e2e.house import a_number

pytestmark = pytest.mark.browser


async def test_a_page_of_another_port_walks_all_ten_routes(
    system: System, open_front_end: OpenFrontEnd, witness: Witness, tmp_path: Path
) -> None:
    shop, customer = a_number(), a_number()
    sari = tmp_path / "sari.png"
    Image.linear_gradient("L").save(sari)
    group = await system.phones.create_group("Family Group", owner=shop, participants=[customer])
    alice = f"alice-{secrets.token_hex(4)}"
    front_end = await open_front_end(system.url)

    await front_end.register(alice)
    known = {"name": alice.title(), "email": f"{alice}@example.com", "username": alice}
    assert await front_end.submit("logout") == (200, {"message": "Logged out successfully"})
    assert await front_end.submit("login", username=alice, password="correct horse battery staple") == (
        200,
        {"message": "Login successful", "user": known},
    )
    status, me = await front_end.submit("me")
    assert status == 200
    assert me.items() >= {**known, "phone": "+919812345678", "gst": "GST12345"}.items()

    status, qr = await front_end.submit("createqr")
    assert status == 200
    await expect(front_end.page.locator("#state")).to_have_text("qr")
    text = await front_end.read_picture()
    assert text == qr["qrCode"]
    await system.phones.scan(shop, qr["qrCode"])
    await expect(front_end.page.locator("#state")).to_have_text("authenticated")
    status, state = await front_end.submit("status")
    assert (status, state["status"], state["phoneNumber"]) == (200, "authenticated", f"+{shop}")

    status, groups = await front_end.submit("groups")
    assert status == 200
    assert [{**one, "participants": set(one["participants"])} for one in groups] == [
        {"id": group, "name": "Family Group", "participants": {f"+{shop}", f"+{customer}"}, "size": 2}
    ]

    status, sent = await front_end.submit("send", phoneId=f"+{customer}", message="Your sari is ready", mediaFile=sari)
    assert status == 200
    assert sent["success"]
    soon = datetime.now(UTC) + timedelta(seconds=2)
    status, scheduled = await front_end.submit(
        "schedule",
        phoneId=f"+{customer}",
        message="Thank you for the visit.",
        scheduledTime=soon.isoformat(),
        useSynonyms=True,
        addEmojis=True,
    )
    assert status == 200
    assert scheduled["scheduledFor"] == f"{soon:%Y-%m-%dT%H:%M:%S}.{soon.microsecond // 1000:03}Z"

    status, queue = await front_end.submit("queue")
    assert status == 200
    assert queue["pagination"] == {"page": 1, "limit": 10, "total": 2, "pages": 1}
    for answer in (sent, scheduled):
        line = front_end.page.locator(f"#messages [data-id={answer['messageId']}]")
        await expect(line).to_contain_text("(sent)")

    picture, thanks = await system.phones.messages(customer)
    assert picture["text"] == "Your sari is ready"
    assert picture["media"]["sha256"] == hashlib.sha256(sari.read_bytes()).hexdigest()
    assert thanks["text"] == scheduled["preview"]
    assert witness.origins == {system.url, front_end.origin}


async def test_the_page_reads_the_body_of_a_401_and_of_a_400(
    system: System, open_front_end: OpenFrontEnd, witness: Witness
) -> None:
    front_end = await open_front_end(system.url)

    status, answer = await front_end.submit("me")
    assert (status, answer["success"], answer["code"]) == (401, False, "not_authenticated")
    assert answer["message"] == answer["error"] == answer["detail"] != ""

    await front_end.register(f"alice-{secrets.token_hex(4)}")
    status, answer = await front_end.submit("send", phoneId="tomorrow", message="Hello")
    assert (status, answer["success"], [one["field"] for one in answer["errors"]]) == (400, False, ["phoneId"])
    yesterday = datetime.now(UTC) - timedelta(days=1)
    status, answer = await front_end.submit(
        "schedule", phoneId="+919876543210", message="Hello", scheduledTime=yesterday.isoformat()
    )
    assert (status, [one["field"] for one in answer["errors"]]) == (400, ["scheduledTime"])

    witness.expected = ["status of 401", "status of 400", "status of 400"]


async def test_a_form_that_another_site_forged_is_refused(
    system: System, front_end: str, context: BrowserContext, witness: Witness
) -> None:
    forger = front_end.replace("localhost", "forger.test")

    answer = await post_from(context, forger, f"{system.url}/api/auth/logout")

    assert (answer.status, (await answer.json())["code"]) == (403, "origin_not_allowed")
    witness.expected = ["status of 403"]


async def test_an_origin_that_is_not_allowed_is_refused_though_its_request_carries_the_cookie(
    strict_web: str, neighbour: str, open_front_end: OpenFrontEnd, context: BrowserContext, witness: Witness
) -> None:
    allowed = await open_front_end(strict_web)
    await allowed.register(f"alice-{secrets.token_hex(4)}")

    # Another port of one host is the same site: SameSite keeps no cookie back.
    answer = await post_from(context, neighbour, f"{strict_web}/api/auth/logout")

    assert "connect.sid=" in (await answer.request.all_headers())["cookie"]
    assert (answer.status, (await answer.json())["code"]) == (403, "origin_not_allowed")
    status, _ = await allowed.submit("me")
    assert status == 200
    witness.expected = ["status of 403"]


async def post_from(context: BrowserContext, origin: str, url: str) -> Response:
    """What a form gets that a page of `origin` submits to `url`, out of sight, as soon as somebody looks at it."""
    page = await context.new_page()
    await page.goto(f"{origin}/front_end.html")
    async with page.expect_response(url) as answer:
        await page.evaluate(
            """url => {
                const frame = document.createElement('iframe')
                frame.name = 'hidden'
                const form = document.createElement('form')
                Object.assign(form, { method: 'POST', action: url, target: 'hidden' })
                document.body.append(frame, form)
                form.submit()
            }""",
            url,
        )
    return await answer.value
