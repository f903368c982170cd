"""What <img src={qrCodeUrl}> shows, read from screenshots as a phone's camera would."""

import asyncio
import io
import secrets
from urllib.parse import quote, unquote

import pytest
import segno
from playwright.async_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import OpenFrontEnd
from tests.browser.front_end import FrontEnd
from tests.browser.qr import read_qr
from tests.browser.system import System
from tests.e2e.house import a_number

pytestmark = pytest.mark.browser


async def test_an_unchanging_img_shows_the_current_code_at_0_65_and_90_seconds(
    system: System, open_front_end: OpenFrontEnd, page: Page
) -> None:
    front_end = await open_front_end(system.url)
    await front_end.register(f"alice-{secrets.token_hex(4)}")
    _, first = await front_end.submit("createqr")
    begun = asyncio.get_running_loop().time()
    assert await front_end.read_picture() == first["qrCode"]

    codes, urls = [first["qrCode"]], [first["qrCodeUrl"]]
    for seconds in (65, 90):
        # Not a guess: the first code is current for 60 s, each further one for 20 s.
        await asyncio.sleep(begun + seconds - asyncio.get_running_loop().time())
        shown = await front_end.read_picture()
        now = await front_end.ask("/api/whatsapp/createqr")
        assert shown == now["qrCode"]
        codes.append(now["qrCode"])
        urls.append(now["qrCodeUrl"])
        assert await front_end.picture.get_attribute("src") == first["qrCodeUrl"]
        for url in (*urls, now["qrCodeUrl"].replace(".svg", ".png")):
            assert await picture_at(page, url) == now["qrCode"], "every address of a pairing shows the current code"
    assert len(set(codes)) == len(set(urls)) == 3

    await system.phones.scan(a_number(), codes[-1])
    await expect(front_end.page.locator("#state")).to_have_text("authenticated")
    linked = await front_end.ask("/api/whatsapp/createqr")
    assert (linked["status"], linked["qrCode"]) == ("authenticated", None)
    for url in (linked["qrCodeUrl"], *urls):
        assert await picture_at(page, url) is None
        await expect(page.get_by_text("Linked")).to_be_visible()


async def test_the_svg_shows_six_codes_on_their_schedule_and_then_that_they_expired(
    system: System, open_front_end: OpenFrontEnd, page: Page
) -> None:
    front_end = await open_front_end(system.url)
    await front_end.register(f"bob-{secrets.token_hex(4)}")
    _, first = await front_end.submit("createqr")
    await page.goto(first["qrCodeUrl"])

    async def shown_after(seconds: float) -> str | None:
        await page.evaluate(_SEEK, seconds * 1000)
        return read_qr(await page.screenshot())

    # Some seconds of the first code may have passed before the picture was fetched.
    codes = [await shown_after(middle) for middle in (25, 65, 85, 105, 125, 145)]
    assert codes[0] == first["qrCode"]
    assert None not in codes
    assert len(set(codes)) == 6
    await expect(page.get_by_text("Expired")).to_be_hidden()

    assert await shown_after(161) is None
    await expect(page.get_by_text("Expired")).to_be_visible()


async def test_qr_code_url_can_have_the_form_of_the_users_document(
    system: System, strict_web: str, open_front_end: OpenFrontEnd, context: BrowserContext
) -> None:
    async def draw(route: Route) -> None:
        """The part of the service that draws what its address says."""
        picture = io.BytesIO()
        segno.make_qr(unquote(route.request.url.partition("?data=")[2])).save(picture, kind="png", scale=6)
        await route.fulfill(body=picture.getvalue(), content_type="image/png")

    await context.route("https://api.qrserver.com/**", draw)
    front_end: FrontEnd = await open_front_end(strict_web)
    await front_end.register(f"charlie-{secrets.token_hex(4)}")

    _, answer = await front_end.submit("createqr")

    assert answer["qrCodeUrl"] == f"https://api.qrserver.com/v1/create-qr-code/?data={quote(answer['qrCode'], safe='')}"
    assert await front_end.read_picture() == answer["qrCode"]
    await system.phones.scan(a_number(), answer["qrCode"])
    await expect(front_end.page.locator("#state")).to_have_text("authenticated")


async def picture_at(page: Page, url: str) -> str | None:
    """The text of the QR code at an address."""
    await page.goto(url)
    return read_qr(await page.screenshot())


_SEEK = """async time => {
    for (const animation of document.getAnimations()) {
        animation.pause()
        animation.currentTime = time
    }
    await new Promise(requestAnimationFrame)
}"""
