"""The user's own front end, as front_end.html shows it."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Locator, Page

from tests.browser.qr import read_qr


class FrontEnd:
    """The front end in a tab. It shows the status and the body of the last answer of each form."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def origin(self) -> str:
        """Where the page comes from."""
        return "{0.scheme}://{0.netloc}".format(urlsplit(self.page.url))

    async def submit(self, form: str, **fields: str | bool | Path) -> tuple[int, Any]:
        """Fill a form, submit it, and read from the page what came back.

        Args:
            form: its id.
            fields: by name: text, whether a box is checked, or a file to choose.

        Returns:
            The answer's status and its JSON.
        """
        element = self.page.locator(f"form#{form}")
        for name, value in fields.items():
            member = element.locator(f"[name={name}]")
            match value:
                case bool():
                    await member.set_checked(value)
                case Path():
                    await member.set_input_files(value)
                case str():
                    await member.fill(value)
        await element.locator("button").click()
        shown = element.locator("output[data-status]")
        status = await shown.get_attribute("data-status")
        return int(status or 0), await shown.evaluate("shown => JSON.parse(shown.value)")

    async def ask(self, path: str) -> Any:
        """The JSON at a path of the API, asked for without a form: what the page shows stays as it is."""
        return await self.page.evaluate("path => call(path).then(answer => answer.json())", path)

    async def register(self, username: str) -> None:
        """Sign up, with a phone and all."""
        status, answer = await self.submit(
            "register",
            name=username.title(),
            phone="+919812345678",
            email=f"{username}@example.com",
            username=username,
            password="correct horse battery staple",
            gst="GST12345",
        )
        assert (status, answer) == (200, {"message": "User registered successfully"})

    @property
    def picture(self) -> Locator:
        """The <img> of the QR code."""
        return self.page.get_by_alt_text("QR code")

    async def read_picture(self) -> str | None:
        """The text of the QR code that the page shows now."""
        await self.picture.evaluate("image => image.decode()")  # it is there once it has been loaded
        return read_qr(await self.picture.screenshot())
