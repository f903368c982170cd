"""The page of the simulated phones."""

from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.browser.system import System
from tests.browser.witness import Witness
from tests.e2e.house import Person, a_number
from tests.waiting import until

pytestmark = pytest.mark.browser


async def test_phones_and_chats_appear_without_a_reload(system: System, page: Page, witness: Witness) -> None:
    bob, charlie = a_number(), a_number()
    answer = await page.goto(system.phones_url)
    assert answer is not None
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    await expect(page.get_by_text("live", exact=True)).to_be_visible()

    await system.phones.write(bob, charlie, "Is it open today?")
    await page.get_by_role("button", name=f"+{charlie}").click()
    await expect(said(page, "Is it open today?")).to_be_visible()
    await system.phones.write(bob, charlie, "I would come at five.")
    await expect(said(page, "I would come at five.")).to_be_visible()

    await reply(page, "Come!")
    words = ["Is it open today?", "I would come at five.", "Come!"]
    assert [one["text"] for one in await system.phones.messages(bob)] == words
    assert witness.origins == {system.phones_url}


async def test_a_message_that_comes_while_a_chat_is_being_read_stays(page: Page, system: System) -> None:
    bob, charlie = a_number(), a_number()
    await system.phones.write(bob, charlie, "Is it open today?")
    await page.goto(system.phones_url)
    await expect(page.get_by_text("live", exact=True)).to_be_visible()

    async def be_overtaken(route: Route) -> None:
        answer = await route.fetch()
        await system.phones.write(bob, charlie, "I would come at five.")
        await expect(said(page, "I would come at five.")).to_be_visible()
        await route.fulfill(response=answer)

    await page.route(f"**/phones/{charlie}/messages", be_overtaken, times=1)
    await page.get_by_role("button", name=f"+{charlie}").click()
    await expect(said(page, "Is it open today?")).to_be_visible()
    await expect(said(page, "I would come at five.")).to_be_visible()


async def test_the_pasted_text_of_a_code_links_the_phone(alice: Person, page: Page, system: System) -> None:
    code = await alice.code()
    await open_phone(page, system, alice.number)

    await page.get_by_label("Scan: paste the text").fill(code)
    await page.get_by_role("button", name="Link this device").click()

    await expect(page.get_by_text(f"Linked: device 1 of +{alice.number}")).to_be_visible()
    await until(alice.connected, what="the connection")
    await expect(page.locator("#companions li")).to_contain_text("online")
    state = await alice.status()
    assert (state["status"], state["phoneNumber"]) == ("authenticated", f"+{alice.number}")


@pytest.mark.parametrize("kind", ["svg", "png"])
async def test_an_uploaded_picture_of_a_code_links_the_phone(
    *, kind: str, alice: Person, page: Page, system: System, tmp_path: Path
) -> None:
    shown = await alice.get("/api/whatsapp/createqr")
    answer = await alice.http.get(shown["qrCodeUrl"].replace(".svg", f".{kind}"))
    picture = tmp_path / f"code.{kind}"
    picture.write_bytes(answer.raise_for_status().content)
    await open_phone(page, system, alice.number)

    await page.get_by_label("Open a picture").set_input_files(picture)

    await expect(page.get_by_text(f"Linked: device 1 of +{alice.number}")).to_be_visible()
    await expect(page.locator("#companions li")).to_contain_text("online")


async def test_what_is_no_code_is_refused_in_a_sentence(page: Page, system: System, witness: Witness) -> None:
    await open_phone(page, system, a_number())

    await page.get_by_label("Scan: paste the text").fill("https://example.com")
    await page.get_by_role("button", name="Link this device").click()

    await expect(page.get_by_role("alert")).to_contain_text("this is not the text of a linking code")
    witness.expected = ["status of 400"]


async def test_receipts_are_switched_and_a_reply_arrives(alice: Person, page: Page, system: System) -> None:
    customer = a_number()
    await alice.link()
    await open_phone(page, system, customer)

    await page.get_by_label("Receipts").select_option("none")
    await expect(page.get_by_label("Receipts")).to_be_enabled()
    silent = await alice.send(customer, "Your sari is ready.")
    await expect(said(page, "Your sari is ready.")).to_be_visible()
    await alice.until_message(silent, status="sent", receipt=None)
    for receipts in ("delivered", "read"):
        await page.get_by_label("Receipts").select_option(receipts)
        await expect(page.get_by_label("Receipts")).to_be_enabled()
        await alice.until_message(await alice.send(customer, f"This is {receipts}."), receipt=receipts)
    assert (await alice.message(silent))["receipt"] is None

    await reply(page, "Lovely, I come at five.")
    assert (await system.phones.messages(alice.number))[-1]["text"] == "Lovely, I come at five."


async def test_a_fault_from_the_page_strikes(alice: Person, page: Page, system: System) -> None:
    await alice.link()
    await open_phone(page, system, alice.number)
    await expect(page.locator("#companions li")).to_contain_text("online")

    await page.get_by_text("Faults").click()
    await page.get_by_label("Kind of fault").select_option("unlink")
    await page.get_by_label("Number", exact=True).fill(f"+{alice.number}")
    await page.get_by_role("button", name="Inject").click()

    await expect(page.locator("#companions li")).to_have_count(0)

    async def is_logged_out() -> bool:
        return bool((await alice.status())["status"] == "logged_out")

    await until(is_logged_out, what="the logout")


async def open_phone(page: Page, system: System, number: str) -> None:
    """Open a phone as a person does: name its number."""
    await page.goto(system.phones_url)
    await page.get_by_label("Any number exists once it is named").fill(f"+{number}")
    await page.get_by_role("button", name="Open", exact=True).click()
    await expect(page.get_by_role("heading", name=number)).to_be_visible()


async def reply(page: Page, text: str) -> None:
    """Write in the chat that is open."""
    await page.get_by_placeholder("Write as this phone").fill(text)
    await page.get_by_role("button", name="Send").click()
    await expect(said(page, text)).to_be_visible()


def said(page: Page, text: str) -> Locator:
    """A message in the chat that is open."""
    return page.get_by_role("listitem").filter(has_text=text)
