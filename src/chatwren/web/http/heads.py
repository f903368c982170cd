"""HEAD asks for what GET answers, but for the body: so monitors and `wget --spider` look whether we are there."""

from typing import cast

from litestar.types import HTTPScope, Message, Receive, Send

from chatwren.web.http.asgi import HttpApp

_PATH_TEMPLATE = "path_template"


class Heads:
    """Answers HEAD wherever there is a GET."""

    def __init__(self, app: HttpApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Hand the request on; one for the head alone as a GET of which no more is sent."""
        if scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        asked = cast("dict[str, object]", scope) | {"method": "GET"}
        try:
            await self._app(cast("HTTPScope", asked), receive, send_head)
        finally:
            if _PATH_TEMPLATE in asked:  # by which the request is counted
                cast("dict[str, object]", scope)[_PATH_TEMPLATE] = asked[_PATH_TEMPLATE]
