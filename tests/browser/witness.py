"""What pages ask for and complain of."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, ConsoleMessage, WebError


@dataclass
class Witness:
    """Listens to all pages of a visitor.

    Attributes:
        origins: from which pages asked for something.
        complaints: errors and warnings of their consoles.
        expected: parts of the complaints that the test provokes. Each other one fails it.
    """

    origins: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Begin to listen."""
        context.on("request", lambda request: self._asked(request.url))
        context.on("console", self._said)
        context.on("weberror", self._broke)

    def check(self) -> None:
        """Fail where the complaints are not the expected ones."""
        unexpected = list(self.complaints)
        for part in self.expected:
            said = next((one for one in unexpected if part in one), None)
            assert said is not None, f"no page complained of {part!r}: {self.complaints}"
            unexpected.remove(said)
        assert not unexpected, "pages complained"

    def _asked(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"}:
            self.origins.add(f"{parts.scheme}://{parts.netloc}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _broke(self, error: WebError) -> None:
        self.complaints.append(str(error.error))
