"""A user's sessions: where they are logged in, and ending what should not be."""

from typing import Annotated

from litestar import delete, get
from litestar.params import FromPath
from msgspec import Meta, Struct

from chatwren.domain.caller import Scope
from chatwren.domain.clock import to_wire
from chatwren.service import sessions
from chatwren.web.access import caller
from chatwren.web.context import HttpRequest, context
from chatwren.web.openapi import Operation, Time

_ID = Annotated[str, Meta(description="Only to end it by.", examples=["7d1a2f0c9b8e4d5f6a7b8c9d0e1f2a3b"])]


class SeenSession(Struct, rename="camel"):
    """One browser or client that is logged in as the user."""

    id: _ID
    created_at: Annotated[Time, Meta(description="When it logged in.")]
    last_seen_at: Annotated[Time, Meta(description="When it was last used, to a few minutes.")]
    current: Annotated[bool, Meta(description="Whether it is the one that asks.", examples=[True])]


class SeenSessions(Struct):
    """The user's sessions, the one that asks first."""

    sessions: list[SeenSession]


class Ended(Struct):
    """They are logged out."""

    success: Annotated[bool, Meta(examples=[True])]
    ended: Annotated[int, Meta(description="How many sessions.", examples=[2])]


@get("/api/users/me/sessions", operation=Operation("List the user's sessions", SeenSessions, access=Scope.ADMIN))
async def list_sessions(request: HttpRequest) -> SeenSessions:
    """Where the user is logged in."""
    found = await sessions.of_user(context(request).db, caller(request))
    return SeenSessions(
        [SeenSession(one.id, to_wire(one.created_at), to_wire(one.last_seen_at), one.current) for one in found]
    )


@delete(
    "/api/users/me/sessions",
    status_code=200,
    operation=Operation(
        "End the user's other sessions", Ended, access=Scope.ADMIN, description="The one that asks stays."
    ),
)
async def end_other_sessions(request: HttpRequest) -> Ended:
    """Log the user out everywhere else."""
    ended = await sessions.end_others(context(request).db, caller(request))
    return Ended(success=True, ended=ended)


@delete(
    "/api/users/me/sessions/{session:str}",
    status_code=200,
    operation=Operation(
        "End one of the user's sessions", Ended, access=Scope.ADMIN, path={"session": "Its id."}, errors=(404,)
    ),
)
async def end_session(request: HttpRequest, session: FromPath[str]) -> Ended:
    """Log the user out in one place."""
    user = caller(request).user
    await sessions.end_one(context(request).db, user.id, session)
    return Ended(success=True, ended=1)
