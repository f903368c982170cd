"""The least that a request takes in Python: a route that reads a cookie and a body, and answers as long a one as ours.

Run as a process instead of `chatwren web`, on the same libraries, with none of our layers and without a database.
"""

import json
import socket
from typing import Any

import uvicorn
import uvloop
from litestar import Litestar, Request, post

from chatwren.domain.ids import message_public_id, uuid7

_MOMENT = "2026-01-01T00:00:00.000Z"


@post("/api/messages/send", status_code=200)
async def send(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """What would be the answer if the message were stored."""
    assert request.cookies
    assert await request.body()
    return {"success": True, "messageId": message_public_id("msg", uuid7()), "scheduledFor": _MOMENT}


def main() -> None:
    """Serve on a free port, and say which as `chatwren web` does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(
            json.dumps({"event": "web.ready", "addresses": [f"http://127.0.0.1:{listener.getsockname()[1]}"]}),
            flush=True,
        )
        config = uvicorn.Config(
            Litestar([send], openapi_config=None, logging_config=None),
            http="httptools",
            access_log=False,
            log_config=None,
            lifespan="off",
        )
        uvloop.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
