"""What the layers around the application are. The server speaks no websockets, so each of them sees HTTP only."""

from collections.abc import Awaitable, Callable

from litestar.types import HTTPScope, Receive, Send

HttpApp = Callable[[HTTPScope, Receive, Send], Awaitable[None]]
