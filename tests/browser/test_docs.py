"""The API's documentation."""

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.browser.system import System
from tests.browser.witness import Witness

pytestmark = pytest.mark.browser


async def test_docs_list_every_route_and_ask_no_other_host(system: System, page: Page, witness: Witness) -> None:
    async with httpx.AsyncClient(base_url=system.url, trust_env=False) as client:
        document = (await client.get("/openapi.json")).raise_for_status().json()

    answer = await page.goto(system.url)
    assert answer is not None
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    await expect(page).to_have_url(f"{system.url}/docs")

    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            shown = page.locator(f"#{operation['operationId']}")
            await expect(shown.get_by_text(f"{method.upper()} {path}", exact=True)).to_be_visible()
    await expect(page.get_by_text("`")).to_have_count(0)
    assert witness.origins == {system.url}


_CUT_OFF = """() => [...document.querySelectorAll("body *")].filter(one =>
    one.getClientRects().length && (
        one.getBoundingClientRect().right > innerWidth
        || (one.scrollWidth > one.clientWidth && getComputedStyle(one).overflowX !== "visible")
    )).map(one => one.outerHTML.slice(0, 100))"""
_MEANINGS = """() => [...document.querySelectorAll("td:last-child")].map(one => one.getBoundingClientRect().width)"""


async def test_on_a_phone_nothing_is_cut_off(system: System, page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(f"{system.url}/docs")
    for details in await page.locator("summary").all():
        await details.evaluate("summary => { summary.parentElement.open = true }")
    assert await page.evaluate(_CUT_OFF) == []
    assert min(await page.evaluate(_MEANINGS)) > 300


async def test_docs_lead_to_the_simulated_phones(system: System, page: Page) -> None:
    await page.goto(f"{system.url}/docs")
    await page.get_by_role("link", name="the simulated phones").click()
    await expect(page).to_have_url(f"{system.phones_url}/")
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
