"""The operator's language model, behind an API like OpenAI's. Whatever it answers is bounded, and a failure is a code.

Requests go to the address that is set and nowhere else: no redirect is followed, and no proxy of the environment used.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit, urlunsplit

import structlog

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger(__name__)

_MOST_BYTES = 256 * 1024
_CONNECT_SECONDS = 3.0
_PATH = "/chat/completions"
_OK = 200

Why = Literal["unreachable", "refused", "bad_answer"]


class NoAnswer(Exception):
    """There is no answer to read. Stays in here and in services.

    Attributes:
        why: the address cannot be reached or breaks off; it says no; or what it says is none of an answer.
    """

    def __init__(self, why: Why) -> None:
        super().__init__()
        self.why: Why = why


class Rewriter:
    """Asks one model.

    Attributes:
        model: its name.
    """

    def __init__(self, url: str, model: str, key: str | None) -> None:
        """Nothing is asked, or loaded, before it is needed.

        Args:
            url: of the API; `/chat/completions` is added where it does not end so.
            model: as the API knows it.
            key: sent as a bearer token; None: nothing is.
        """
        self.model = model
        parts = urlsplit(url)
        path = parts.path.rstrip("/")
        self._url = urlunsplit(parts._replace(path=path if path.endswith(_PATH) else path + _PATH, fragment=""))
        self._key = key
        self._client: httpx.AsyncClient | None = None

    async def ask(self, messages: Sequence[dict[str, str]]) -> str:
        """What the model says to some messages of a chat. Whoever asks bounds the time.

        Raises:
            NoAnswer: nothing that can be read.
        """
        import httpx  # noqa: PLC0415 - seldom needed

        try:
            return _content(await self._post({"model": self.model, "messages": list(messages), "stream": False}))
        except NoAnswer as error:
            log.warning("rewriter.failed", why=error.why)
            raise
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            log.warning("rewriter.failed", why="unreachable", error=type(error).__name__)
            raise NoAnswer("unreachable") from None

    async def _post(self, body: dict[str, object]) -> bytes:
        client = self._client
        if client is None:
            client = self._client = await asyncio.to_thread(_client, self._key)
        async with client.stream("POST", self._url, json=body) as answer:
            if answer.status_code != _OK:
                log.warning("rewriter.refused", status=answer.status_code)
                raise NoAnswer("refused")
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise NoAnswer("bad_answer")  # none was asked for, and a small one may become large
            found = bytearray()
            async for chunk in answer.aiter_raw():
                found += chunk
                if len(found) > _MOST_BYTES:
                    raise NoAnswer("bad_answer")
            return bytes(found)

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()


def _client(key: str | None) -> "httpx.AsyncClient":
    """A client, whose certificates take a moment to load."""
    import httpx  # noqa: PLC0415 - seldom needed

    return httpx.AsyncClient(
        headers={"accept-encoding": "identity"} | ({"authorization": f"Bearer {key}"} if key else {}),
        timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


def _content(answer: bytes) -> str:
    """What the first choice of an answer says.

    Raises:
        NoAnswer: it has another shape.
    """
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, RecursionError, LookupError, TypeError):
        raise NoAnswer("bad_answer") from None
    if not isinstance(content, str):
        raise NoAnswer("bad_answer")
    return content
