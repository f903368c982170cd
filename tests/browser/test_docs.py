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
