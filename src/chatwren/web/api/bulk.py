"""Handing over many messages at once."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from litestar import get, post
from litestar.params import FromPath
from msgspec import UNSET, Meta, Struct, UnsetType

from chatwren.domain.caller import Scope
from chatwren.domain.clock import to_wire
from chatwren.domain.errors import Invalid
from chatwren.domain.ids import parse_bulk_id
from chatwren.domain.messages import Shown
from chatwren.domain.text import parse_boolean
from chatwren.service import bulk
from chatwren.service.bulk_list import ListOptions, parse_duplicates, parse_numbers_are
from chatwren.service.bulk_rows import FileKind
from chatwren.service.idempotency import parse_key
from chatwren.web.access import body_chunks, caller, whereabouts
from chatwren.web.api.message_shapes import DEFAULT_LIMIT, MAX_LIMIT, Pagination
from chatwren.web.api.queue_fields import MAX_PAGE, parse_count
from chatwren.web.context import HttpRequest, context
from chatwren.web.forms import Form, read_form, read_query, refuse_encoded
from chatwren.web.http.bodies import let_go
from chatwren.web.openapi import MULTIPART, Operation, Time
from chatwren.web.presence import while_there
from chatwren.web.uploads import Uploads, temporary_file, write_on

_FILE = "file"
_TYPES: dict[str, FileKind] = {
    "application/x-ndjson": "jsonl",
    "application/ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/x-jsonlines": "jsonl",
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
}
_SUFFIXES: dict[str, FileKind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
}


_NumbersAre = Annotated[
    Literal["national", "international"] | UnsetType,
    Meta(
        description="How the list writes numbers without + or 00. Without it, one that is a valid number at home and "
        "another abroad is a refused row."
    ),
]
_Duplicates = Annotated[
    Literal["skip"] | UnsetType,
    Meta(description="Of several rows to one recipient only the first goes. Without it a warning says how many."),
]


class BulkBody(Struct, rename="camel"):
    """A file of JSON lines or CSV, told apart by its Content-Type or its name."""

    file: Annotated[
        str,
        Meta(
            description="Each line a JSON object with the fields of a message (phoneId, message, scheduledTime, "
            "expiresAt, lane, aiModifications, fields); or CSV whose first line names such columns: useSynonyms, "
            "addEmojis and shuffleSentences count as aiModifications, all others fill {{placeholders}}. "
            "The lane is bulk unless a row names another.",
            examples=['{"phoneId": "+919812345678", "message": "Hello!"}'],
            extra_json_schema={"format": "binary"},
        ),
    ]
    numbers_are: _NumbersAre = UNSET
    duplicates: _Duplicates = UNSET


class BulkOptions(Struct, rename="camel"):
    """As in a form, where the body is the file itself."""

    numbers_are: _NumbersAre = UNSET
    duplicates: _Duplicates = UNSET


class AcceptedBulk(Struct, rename="camel"):
    """The rows are stored, durably. Each is accepted or refused in the seconds that follow."""

    success: Annotated[bool, Meta(examples=[True])]
    bulk_id: Annotated[str, Meta(examples=["bulk_0197a3f2c9e07c3b9d5f8e6a41b2c3d4"])]
    rows: Annotated[int, Meta(examples=[1])]
    warnings: Annotated[
        list[str] | UnsetType,
        Meta(
            description="Recipients who come again, numbers in no number plan, and texts with fewer wordings than rows."
        ),
    ] = UNSET


class RowProblem(Struct):
    """What is wrong with one field of a row."""

    field: str
    message: str


class BulkRow(Struct, rename="camel"):
    """A row. Neither messageId nor errors: it is not its turn yet."""

    line: Annotated[int, Meta(description="Of the file, from 1.", examples=[1])]
    message_id: str | None
    errors: list[RowProblem]


class MessageCounts(Struct):
    """The bulk's messages, by their status."""

    scheduled: int
    queued: int
    sending: int
    sent: int
    failed: int
    cancelled: int
    expired: int


class BulkState(Struct, rename="camel"):
    """How far a bulk is."""

    id: str
    status: Annotated[str, Meta(description="accepting, or accepted: each row is accepted or refused.")]
    created_at: Time
    accepted_at: Annotated[Time | None, Meta(description="When the last row was accepted or refused.")]
    total: int
    accepted: int
    refused: int
    messages: MessageCounts
    estimated_last_at: Annotated[
        Time | None, Meta(description="When the last waiting message goes out, by the usual pace: an estimate.")
    ]
    rows: list[BulkRow]
    pagination: Pagination
    warnings: Annotated[list[str] | UnsetType, Meta(description="Of its list, and what stretches that.")] = UNSET


class BulkQuery(Struct):
    """Which rows to show."""

    refused: Annotated[bool, Meta(description="Only those that were refused.")] = False
    page: Annotated[int, Meta(description="From 1.", ge=1)] = 1
    limit: Annotated[int, Meta(description="Rows a page; more than 100 counts as 100.", ge=1)] = DEFAULT_LIMIT


@post(
    "/api/messages/bulk",
    status_code=200,
    operation=Operation(
        "Send many messages",
        AcceptedBulk,
        access=Scope.SEND,
        description="Up to 10,000 rows of 32 MiB in all, as a form's file or as the body itself (application/x-ndjson, "
        "text/csv). With the header Idempotency-Key, repeating the same request within 24 hours sends nothing twice.",
        body=BulkBody,
        body_types=(MULTIPART,),
        query=BulkOptions,
        errors=(409, 429),
        at_once=True,
    ),
)
async def submit_bulk(request: HttpRequest) -> AcceptedBulk:
    """Store many messages."""
    key = parse_key(request.headers.get("idempotency-key"))
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = _TYPES.get(content_type)
    query = read_query(request)
    if kind is not None:
        refuse_encoded(request)
        options = _options(query)
        async with temporary_file(request, caller(request).user.id) as file:
            async for chunk in body_chunks(request, at_most=bulk.MAX_BYTES):
                await write_on(request, file, chunk)
                let_go(request, len(chunk))
            return await while_there(request, _submit(request, Path(file.name), kind, options, key))
    async with read_form(request, uploads=Uploads(caller(request).user.id, (_FILE,), bulk.MAX_BYTES)) as form:
        upload = form.file(_FILE)
        options = _options(form, query)
        if upload is None:
            raise Invalid("file is required: JSON lines or CSV.", field=_FILE)
        kind = _TYPES.get(upload.content_type) or _SUFFIXES.get(Path(upload.file_name).suffix.lower())
        if kind is None:
            raise Invalid("file must be JSON lines (.jsonl) or CSV (.csv).", field=_FILE)
        if upload.size > bulk.MAX_BYTES:
            raise bulk.too_large()
        return await while_there(request, _submit(request, upload.path, kind, options, key))


def _options(*readers: Form) -> ListOptions:
    """What holds for the whole list, from the first of these that names it.

    Raises:
        Invalid: one of them is wrong, or was read wrong before.
    """

    def by(name: str) -> Form:
        return next((one for one in readers if one.given(name)), readers[0])

    numbers_are = by("numbersAre").read("numbersAre", parse_numbers_are)
    skip_duplicates = by("duplicates").read("duplicates", parse_duplicates)
    for one in readers:
        one.check()
    return ListOptions(numbers_are, skip_duplicates)


async def _submit(
    request: HttpRequest, path: Path, kind: FileKind, options: ListOptions, key: str | None
) -> AcceptedBulk:
    here, asks = context(request), caller(request)
    submitted = await bulk.submit(
        here.db,
        asks,
        asks.account,
        path,
        kind,
        limits=here.limits,
        computing=here.computing,
        options=options,
        idempotency_key=key,
    )
    return AcceptedBulk(success=True, bulk_id=submitted.id, rows=submitted.rows, warnings=submitted.warnings or UNSET)


@get(
    "/api/messages/bulk/{bulk_id:str}",
    operation=Operation(
        "Follow a bulk",
        BulkState,
        access=Scope.READ,
        query=BulkQuery,
        path={"bulk_id": "`bulkId` of the answer that accepted it."},
        errors=(404,),
    ),
)
async def follow_bulk(request: HttpRequest, bulk_id: FromPath[str]) -> BulkState:
    """How far a bulk is."""
    user = caller(request).user
    query = read_query(request)
    refused = query.read("refused", parse_boolean)
    page = query.read("page", partial(parse_count, default=1))
    limit = query.read("limit", partial(parse_count, default=DEFAULT_LIMIT))
    query.check()
    limit = min(limit, MAX_LIMIT)
    found = await bulk.state(
        context(request).db,
        user.id,
        parse_bulk_id(bulk_id),
        refused=refused,
        page=min(page, MAX_PAGE),
        limit=limit,
        zone=whereabouts(request).zone(),
    )
    return BulkState(
        id=found.id,
        status="accepted" if found.ended_at else "accepting",
        created_at=to_wire(found.created_at),
        accepted_at=to_wire(found.ended_at) if found.ended_at else None,
        total=found.total,
        accepted=found.accepted,
        refused=found.refused,
        messages=MessageCounts(**{status.value: found.by_status.get(status, 0) for status in Shown}),
        estimated_last_at=to_wire(found.estimated_last_at) if found.estimated_last_at else None,
        rows=[
            BulkRow(one.line, one.message_id, [RowProblem(**problem) for problem in one.errors]) for one in found.rows
        ],
        pagination=Pagination(page=page, limit=limit, total=found.matching, pages=-(-found.matching // limit)),
        warnings=list(found.warnings) or UNSET,
    )
