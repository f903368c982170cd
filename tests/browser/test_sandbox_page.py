"""The page of the simulated phones."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.system import Phones, System, User, a_number
from tests.browser.witness import Witness

pytestmark = pytest.mark.browser


async def test_phones_and_chats_appear_without_a_reload(
    system: System, phones: Phones, page: Page, witness: Witness
) -> None:
    alice, bob = a_number(), a_number()
    await page.goto(system.phones_url)
    await expect(page.get_by_text("live", exact=True)).to_be_visible()

    await phones.write(alice, bob, "Is it open today?")
    await page.get_by_role("button", name=f"+{bob}").click()
    chat = page.get_by_role("listitem").filter(has_text="Is it open today?")
    await expect(chat).to_be_visible()
    await phones.write(alice, bob, "I would come at five.")
    await expect(page.get_by_role("listitem").filter(has_text="I would come at five.")).to_be_visible()

    await page.get_by_placeholder("Write as this phone").fill("Come!")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("listitem").filter(has_text="Come!")).to_be_visible()
    assert [one["text"] for one in await phones.messages(alice)] == [
        "Is it open today?",
        "I would come at five.",
        "Come!",
    ]
    assert witness.origins == {system.phones_url}


async def test_the_pasted_text_of_a_code_links_the_phone(user: User, page: Page, system: System) -> None:
    number = a_number()
    qr = await user.get("/api/whatsapp/createqr")
    await open_phone(page, system, number)

    await page.get_by_label("Scan: paste the text").fill(qr["qrCode"])
    await page.get_by_role("button", name="Link this device").click()

    await expect(page.get_by_text(f"Linked: device 1 of +{number}")).to_be_visible()
    await expect(page.locator("#companions li")).to_contain_text("online")
    state = await user.until("/api/whatsapp/status", lambda state: state["connected"])
    assert (state["status"], state["phoneNumber"]) == ("authenticated", f"+{number}")


@pytest.mark.parametrize("kind", ["svg", "png"])
async def test_an_uploaded_picture_of_a_code_links_the_phone(
    kind: str, user: User, page: Page, system: System, tmp_path: Path
) -> None:
    number = a_number()
    qr = await user.get("/api/whatsapp/createqr")
    picture = tmp_path / f"code.{kind}"
    picture.write_bytes(await user.download(qr["qrCodeUrl"].replace(".svg", f".{kind}")))
    await open_phone(page, system, number)

    await page.locator("#picture").set_input_files(picture)

    await expect(page.get_by_text(f"Linked: device 1 of +{number}")).to_be_visible()
    await user.until("/api/whatsapp/status", lambda state: state["connected"])


async def test_what_is_no_code_is_refused_in_a_sentence(page: Page, system: System, witness: Witness) -> None:
    await open_phone(page, system, a_number())
    await page.get_by_label("Scan: paste the text").fill("https://example.com")
    await page.get_by_role("button", name="Link this device").click()
    await expect(page.get_by_role("alert")).to_contain_text("this is not the text of a linking code")
    witness.expected = ["status of 400"]


async def test_a_reply_and_receipts_from_the_page(user: User, phones: Phones, page: Page, system: System) -> None:
    shop, customer = a_number(), a_number()
    await user.link(phones, shop)
    await open_phone(page, system, customer)

    await page.get_by_label("Receipts").select_option("none")
    silent = await user.send(customer, "Your sari is ready.")
    await expect(page.get_by_role("listitem").filter(has_text="Your sari is ready.")).to_be_visible()
    await user.until(silent, lambda message: message["status"] == "sent")

    for receipts in ("delivered", "read"):
        await page.get_by_label("Receipts").select_option(receipts)
        told = await user.send(customer, f"This one is {receipts}.")
        assert (await user.until(told, lambda message: message["receipt"] is not None))["receipt"] == receipts
    assert (await user.get(silent))["receipt"] is None

    await page.get_by_placeholder("Write as this phone").fill("Lovely, I come at five.")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("listitem").filter(has_text="Lovely, I come at five.")).to_be_visible()
    assert (await phones.messages(shop))[-1]["text"] == "Lovely, I come at five."


async def test_a_fault_from_the_page_strikes(user: User, phones: Phones, page: Page, system: System) -> None:
    shop = a_number()
    await user.link(phones, shop)
    await open_phone(page, system, shop)
    await expect(page.locator("#companions li")).to_contain_text("online")

    await page.get_by_text("Faults").click()
    await page.get_by_label("Kind of fault").select_option("unlink")
    await page.get_by_label("Number", exact=True).fill(f"+{shop}")
    await page.get_by_role("button", name="Inject").click()

    await expect(page.locator("#companions li")).to_have_count(0)
    await user.until("/api/whatsapp/status", lambda state: state["status"] == "logged_out")


async def open_phone(page: Page, system: System, number: str) -> None:
    """Open a phone as a person does: name its number."""
    await page.goto(system.phones_url)
    await page.get_by_label("Any number exists once it is named").fill(f"+{number}")
    await page.get_by_role("button", name="Open", exact=True).click()
    await expect(page.get_by_role("heading", name=number)).to_be_visible()
