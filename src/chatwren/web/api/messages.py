"""Sending, scheduling and following messages."""

from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Literal

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath
from msgspec import UNSET

from chatwren.domain.caller import Scope
from chatwren.domain.clock import now, to_wire
from chatwren.domain.errors import Invalid
from chatwren.domain.ids import parse_message_id
from chatwren.domain.limits import Limit
from chatwren.domain.messages import Filter
from chatwren.domain.text import parse_boolean, parse_message
from chatwren.domain.times import due_time, parse_moment
from chatwren.media import prepare
from chatwren.service import messages
from chatwren.service.compose import compose
from chatwren.service.idempotency import parse_key
from chatwren.web.access import as_supposed, caller, confirm, whereabouts
from chatwren.web.api.message_shapes import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    AcceptedMessage,
    CancelBody,
    Cancelled,
    ChangeBody,
    FollowedMessage,
    Message,
    Pagination,
    Queue,
    QueueQuery,
    ScheduleBody,
    SendBody,
    change_list,
    message_shape,
    step_shape,
)
from chatwren.web.api.queue_fields import MAX_PAGE, parse_count, parse_cursor, read_filter
from chatwren.web.context import HttpRequest, context
from chatwren.web.forms import Form, read_form, read_query
from chatwren.web.http.bodies import MAX_FIELDS_BYTES
from chatwren.web.openapi import JSON, MULTIPART, URLENCODED, Operation
from chatwren.web.presence import while_there
from chatwren.web.uploads import Uploads

_FILE = "mediaFile"
_BY_ID = {"message_id": "`messageId` of the answer that accepted it."}


@post(
    "/api/messages/send",
    status_code=200,
    operation=Operation(
        "Send a message",
        AcceptedMessage,
        access=Scope.SEND,
        description="200 means that the message is on disk; follow it in the queue. With the header Idempotency-Key, "
        "repeating the same request within 24 hours gives the same answer and sends nothing twice.",
        body=SendBody,
        body_types=(MULTIPART, JSON, URLENCODED),
        errors=(409,),
        at_once=True,
        supposes=True,
    ),
)
async def send(request: HttpRequest) -> AcceptedMessage:
    """Accept a message for now, or for later."""
    return await _accept(request, "msg")


@post(
    "/api/messages/schedule",
    status_code=200,
    operation=Operation(
        "Schedule a message",
        AcceptedMessage,
        access=Scope.SEND,
        description="As send, with a time. `aiModifications` vary the words; the answer shows the text that will go.",
        body=ScheduleBody,
        body_types=(JSON, MULTIPART, URLENCODED),
        errors=(409,),
        at_once=True,
        supposes=True,
    ),
)
async def schedule(request: HttpRequest) -> AcceptedMessage:
    """Accept a message for later."""
    return await _accept(request, "sched")


@get(
    "/api/messages/queue",
    operation=Operation("Get the message queue", Queue, access=Scope.READ, query=QueueQuery),
)
async def queue(request: HttpRequest) -> Queue:
    """A page of the user's messages."""
    query = read_query(request)
    page = query.read("page", partial(parse_count, default=1))
    limit = query.read("limit", partial(parse_count, default=DEFAULT_LIMIT))
    where = read_filter(query, caller(request).user.id, whereabouts(request))
    cursor = query.read("cursor", parse_cursor)
    query.check()
    limit = min(limit, MAX_LIMIT)
    async with _searching(request, where):
        found = await messages.page(
            context(request).db,
            where,
            page=min(page, MAX_PAGE),
            limit=limit,
            cursor=cursor,
        )
    return Queue(
        [message_shape(one) for one in found.messages],
        Pagination(
            page=page,
            limit=limit,
            total=found.total,
            pages=-(-found.total // limit),
            total_is_at_least=True if found.total_is_at_least else UNSET,
            next_cursor=found.messages[-1].id if len(found.messages) == limit else UNSET,
        ),
    )


@get(
    "/api/messages/{message_id:str}",
    operation=Operation("Follow a message", FollowedMessage, access=Scope.READ, path=_BY_ID, errors=(404,)),
)
async def follow(request: HttpRequest, message_id: FromPath[str]) -> FollowedMessage:
    """One message with its timeline."""
    user = caller(request).user
    found, timeline = await messages.get(context(request).db, user.id, parse_message_id(message_id))
    return FollowedMessage(
        **msgspec.structs.asdict(message_shape(found)),
        timeline=[step_shape(one) for one in timeline],
    )


@patch(
    "/api/messages/{message_id:str}",
    operation=Operation(
        "Change a message that waits",
        Message,
        access=Scope.SEND,
        description="`expiresAt` alone moves its end, and null removes it. 409 once it may be out.",
        body=ChangeBody,
        path=_BY_ID,
        errors=(404, 409),
    ),
)
async def change(request: HttpRequest, message_id: FromPath[str]) -> Message:
    """Reschedule or rewrite a message."""
    row_id = parse_message_id(message_id)
    async with read_form(request, at_most=MAX_FIELDS_BYTES) as form:
        zone = whereabouts(request).zone
        moment = partial(parse_moment, zone=zone)
        text = form.read("message", parse_message) if form.given("message") else None
        when = form.read("scheduledTime", moment)
        expires = form.read("expiresAt", moment)
        for_good = form.given("expiresAt") and form.peek("expiresAt") in (None, "null")
        form.check()
    if when is None and expires is None and text is None and not for_good:
        raise Invalid("Give message, scheduledTime or expiresAt.", code="nothing_to_change")
    changed = await messages.change(
        context(request).db,
        caller(request).user.id,
        row_id,
        limits=context(request).limits,
        computing=context(request).computing,
        due=due_time(when, now()) if when else None,
        expires=expires,
        forget_expiry=for_good,
        text=text,
        zone=zone,
    )
    return message_shape(changed)


@delete(
    "/api/messages/{message_id:str}",
    status_code=200,
    operation=Operation(
        "Cancel a message",
        Message,
        access=Scope.SEND,
        description="409 once it may be out.",
        path=_BY_ID,
        errors=(404, 409),
    ),
)
async def cancel(request: HttpRequest, message_id: FromPath[str]) -> Message:
    """Cancel a message that waits."""
    user = caller(request).user
    cancelled = await messages.cancel(context(request).db, user.id, parse_message_id(message_id))
    return message_shape(cancelled)


@post(
    "/api/messages/cancel",
    status_code=200,
    operation=Operation(
        "Cancel many messages that wait",
        Cancelled,
        access=Scope.SEND,
        description="Every one that matches all that is given. What may be out is passed over. With nothing given but "
        "`all: true`, everything that waits. That, and `bulkId` alone, also end what bulks have not accepted yet.",
        body=CancelBody,
    ),
)
async def cancel_many(request: HttpRequest) -> Cancelled:
    """Cancel the messages of a filter."""
    async with read_form(request) as form:
        where = read_filter(form, caller(request).user.id, whereabouts(request))
        everything = form.read("all", parse_boolean)
        form.refuse_others(("status", "to", "q", "from", "until", "bulkId", "all"))
        form.check()
    if where == Filter(where.user_id) and not everything:
        raise Invalid("Say which messages: status, to, q, from, until, bulkId; or all: true.", code="nothing_chosen")
    async with _searching(request, where):
        return Cancelled(success=True, cancelled=await messages.cancel_all(context(request).db, where))


@post(
    "/api/messages/{message_id:str}/retry",
    status_code=200,
    operation=Operation(
        "Retry a message that failed",
        Message,
        access=Scope.SEND,
        description="It goes again under the same WhatsApp id, so that a recipient who has it sees it once.",
        path=_BY_ID,
        errors=(404, 409),
    ),
)
async def retry(request: HttpRequest, message_id: FromPath[str]) -> Message:
    """Let a failed message go out again."""
    user = caller(request).user
    retried = await messages.retry(
        context(request).db,
        user.id,
        parse_message_id(message_id),
        limits=context(request).limits,
        computing=context(request).computing,
    )
    return message_shape(retried)


def _searching(request: HttpRequest, where: Filter) -> AbstractAsyncContextManager[None]:
    """A place for a search, which may look at each of the user's messages, so that few run at once."""
    if where.is_plain:
        return nullcontext()
    return context(request).limits.slot(where.user_id, Limit.SEARCHES)


async def _accept(request: HttpRequest, prefix: Literal["msg", "sched"]) -> AcceptedMessage:
    key = parse_key(request.headers.get("idempotency-key"))
    uploads = Uploads(caller(request).user.id, (_FILE,))
    async with read_form(request, at_most=MAX_FIELDS_BYTES, uploads=uploads) as form:
        if form.has_files:
            await confirm(request)
        return await as_supposed(request, partial(_accept_form, request, form, key, prefix))


async def _accept_form(
    request: HttpRequest, form: Form, key: str | None, prefix: Literal["msg", "sched"]
) -> AcceptedMessage:
    asks, here = caller(request), context(request)
    form.begin()
    upload = form.file(_FILE)
    writer = whereabouts(request)
    new = compose(form, writer, prefix=prefix, with_file=upload is not None)
    if upload is not None:
        preparing = prepare.prepare(
            upload.path,
            file_name=upload.file_name,
            content_type=upload.content_type,
            user=asks.user.id,
            decoders=here.decoders,
        )
        new = replace(new, media=await while_there(request, preparing))
    accepted = await here.intake.accept(asks, asks.account, new, idempotency_key=key, zone=writer.zone)
    return AcceptedMessage(
        success=True,
        message_id=accepted.id,
        scheduled_for=to_wire(accepted.scheduled_for),
        warnings=list(accepted.warnings) or UNSET,
        time_zone=(new.due and new.due.assumed_zone) or UNSET,
        preview=accepted.preview if accepted.preview is not None else UNSET,
        changes=change_list(accepted.changes) if accepted.changes is not None else UNSET,
    )
