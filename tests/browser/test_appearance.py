"""Every page, by day and by night, on a desk and on a phone."""

from typing import Literal

import pytest
from playwright.async_api import Browser

from tests.browser.system import System
from tests.browser.witness import Witness
from tests.e2e.house import a_number

pytestmark = pytest.mark.browser

DESK, PHONE = 1280, 375


@pytest.mark.parametrize("width", [DESK, PHONE])
@pytest.mark.parametrize("name", ["docs", "phones", "phone"])
async def test_a_page_fits_its_window_and_has_a_day_and_a_night(
    *, name: str, width: int, browser: Browser, system: System, witness: Witness
) -> None:
    alice, bob = a_number(), a_number()
    await system.phones.write(alice, bob, "A word that is as long as an address: https://example.com/" + "sari" * 40)
    urls = {"docs": f"{system.url}/docs", "phones": system.phones_url, "phone": f"{system.phones_url}/#{bob}"}
    grounds = []
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        context = await browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
        witness.watch(context)
        page = await context.new_page()
        await page.goto(urls[name], wait_until="load")
        for details in await page.locator("summary").all():
            await details.evaluate("summary => { summary.parentElement.open = true }")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        grounds.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
        await context.close()
    assert grounds[0] != grounds[1]
    witness.check()
