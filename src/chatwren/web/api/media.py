"""The files of messages."""

from urllib.parse import quote
from uuid import UUID

from litestar import get
from litestar.params import FromPath

from chatwren.domain.caller import Scope
from chatwren.domain.errors import NotFound
from chatwren.service import files
from chatwren.web.access import caller
from chatwren.web.context import HttpRequest, context
from chatwren.web.http.answers import Whole
from chatwren.web.openapi import Operation


@get(
    "/api/media/{media_id:str}",
    operation=Operation(
        "Get a file",
        access=Scope.READ,
        description="The file of a message, as it was sent.",
        path={"media_id": "`media.id` of the message."},
        errors=(404,),
        media_type="application/octet-stream",
    ),
)
async def media_file(request: HttpRequest, media_id: FromPath[str]) -> Whole:
    """A file of the user's."""
    user = caller(request).user
    try:
        row_id = UUID(hex=media_id)
    except ValueError:
        raise NotFound("There is no such file.") from None
    found = await files.get(context(request).db, user.id, row_id)
    shown = "attachment" if found.kind == "document" else "inline"
    return Whole(
        await context(request).media.open(found.key),
        size=found.size,
        media_type=found.mimetype,
        headers={
            "content-disposition": f"{shown}; filename*=UTF-8''{quote(found.file_name, safe='')}",
            # Somebody else's content on our origin: it may be looked at, and do nothing.
            "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
        },
    )
