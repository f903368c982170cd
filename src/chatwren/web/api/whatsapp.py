"""Linking a WhatsApp account, its state, and its groups."""

from functools import partial
from typing import Annotated, Literal
from urllib.parse import quote
from uuid import UUID

from litestar import get, post
from msgspec import UNSET, Meta, Struct, UnsetType

from chatwren.domain.caller import Scope
from chatwren.domain.clock import to_wire
from chatwren.domain.recipients import parse_phone_digits
from chatwren.domain.text import parse_boolean
from chatwren.service import accounts, linking
from chatwren.web.access import caller, whereabouts
from chatwren.web.api import qr
from chatwren.web.api.reasons import WhyNot, why_not
from chatwren.web.context import HttpRequest, base_url, context
from chatwren.web.forms import read_form, read_query
from chatwren.web.openapi import SERVER, Operation, Time


class QrCode(Struct, rename="camel"):
    """What a page shows to be scanned with WhatsApp: Settings, Linked devices, Link a device."""

    qr_code_url: Annotated[
        str,
        Meta(
            description="A picture for <img src>. It changes with each code; an older one shows the current code.",
            examples=[f"{SERVER}/qr/4q2Yc1p0bXJ8/1810548000.svg"],
        ),
    ]
    qr_code: Annotated[
        str | None,
        Meta(
            description="The code as text; null when linked.",
            examples=["https://wa.me/settings/linked_devices#2@AbCdEf…"],
        ),
    ]
    expires_at: Annotated[Time | None, Meta(description="When the next code replaces this one.")]
    status: Annotated[Literal["qr", "authenticated"], Meta(examples=["qr"])]


class NewContacts(Struct):
    """Contacts who have neither written nor been reached: how many of them may be written to."""

    cap: Annotated[int | None, Meta(description="Within 24 hours; null: no cap.", examples=[20])]
    used: Annotated[int, Meta(description="In the last 24 hours.", examples=[3])]
    reason: Annotated[WhyNot | None, Meta(description="Why no more of them now.", examples=[None])]


class AccountStatus(Struct, rename="camel"):
    """How the user's WhatsApp account is."""

    status: Annotated[
        Literal["disconnected", "connecting", "qr", "authenticated", "logged_out", "banned"],
        Meta(
            description="disconnected: never linked. authenticated: linked, whatever the connection does now.",
            examples=["authenticated"],
        ),
    ]
    phone_number: Annotated[str | None, Meta(examples=["+1234567890"])]
    name: Annotated[str | None, Meta(examples=["John's WhatsApp"])]
    connected: Annotated[bool, Meta(description="Whether the connection to WhatsApp is up.", examples=[True])]
    health: Annotated[Literal["ok", "offline", "restricted"] | None, Meta(examples=["ok"])]
    reason: Annotated[WhyNot | None, Meta(description="What is wrong, if anything is.", examples=[None])]
    since: Annotated[Time | None, Meta(description="Since when it is so.")]
    until: Annotated[Time | None, Meta(description="When a restriction ends.", examples=[None])]
    new_contacts: Annotated[NewContacts | UnsetType, Meta(description="While it is linked.")] = UNSET


class Group(Struct):
    """A group that the account is in."""

    id: Annotated[str, Meta(description="Send to it as phoneId.", examples=["120363041234567890@g.us"])]
    name: Annotated[str, Meta(examples=["Family Group"])]
    participants: Annotated[
        list[str], Meta(description="Members whose number is known.", examples=[["+1234567890", "+1987654321"]])
    ]
    size: Annotated[int, Meta(description="How many members it has, known or not.", examples=[2])]


class GroupsQuery(Struct):
    """How to list groups."""

    refresh: Annotated[bool, Meta(description="Ask WhatsApp instead of giving what is known.")] = False


class PairCodeBody(Struct, rename="camel"):
    """The phone to link."""

    phone_number: Annotated[str, Meta(description="With country code.", examples=["+1234567890"])]


class PairCode(Struct, rename="camel"):
    """To be typed on the phone: WhatsApp, Linked devices, Link with phone number instead."""

    code: Annotated[str, Meta(examples=["ABCD-EFGH"])]
    expires_at: Time


class Done(Struct):
    """It is done, or will be as soon as WhatsApp is reached."""

    success: Annotated[bool, Meta(examples=[True])]
    message: str


@get(
    "/api/whatsapp/createqr",
    operation=Operation(
        "Generate a QR code",
        QrCode,
        access=Scope.CONTROL,
        description="Starts linking a WhatsApp account, or joins the linking that runs. Poll it: each code is current "
        "for 20 to 60 seconds, and once the phone has scanned it, `status` is `authenticated`.",
        errors=(429,),
    ),
)
async def create_qr(request: HttpRequest) -> QrCode:
    """Start linking an account, or join the linking that runs."""
    asks, account = caller(request), _asked(request)[1]
    state = await linking.create_qr(context(request).db, context(request).limits, asks, account)
    if state.code is None:
        return QrCode(qr.linked_url(base_url(request)), None, None, "authenticated")
    template = context(request).settings.qr_code_url
    url = template.replace("{data}", quote(state.code.text, safe="")) if template else None
    return QrCode(
        url or qr.picture_url(base_url(request), state.token, state.code),
        state.code.text,
        to_wire(state.code.ends_at),
        "qr",
    )


@get("/api/whatsapp/status", operation=Operation("Get the WhatsApp status", AccountStatus, access=Scope.READ))
async def status(request: HttpRequest) -> AccountStatus:
    """How the user's account is."""
    state = await accounts.status(context(request).db, *_asked(request))
    return AccountStatus(
        status=state.status,
        phone_number=state.phone,
        name=state.name,
        connected=state.connected,
        health=state.health,
        reason=why_not(state.reason),
        since=to_wire(state.since) if state.since else None,
        until=to_wire(state.until) if state.until else None,
        new_contacts=NewContacts(state.new_contacts.cap, state.new_contacts.used, why_not(state.new_contacts.reason))
        if state.new_contacts
        else UNSET,
    )


@get(
    "/api/whatsapp/groups",
    operation=Operation(
        "Get the WhatsApp groups",
        list[Group],
        access=Scope.READ,
        description="As last known while WhatsApp is out of reach.",
        query=GroupsQuery,
        errors=(409,),
    ),
)
async def groups(request: HttpRequest) -> list[Group]:
    """The groups that the account is in."""
    query = read_query(request)
    refresh = query.read("refresh", parse_boolean)
    query.check()
    found = await accounts.groups(context(request).db, *_asked(request), refresh=refresh)
    return [Group(one.id, one.name, one.participants, one.size) for one in found]


@post(
    "/api/whatsapp/paircode",
    status_code=200,
    operation=Operation(
        "Link by a code typed on the phone",
        PairCode,
        access=Scope.CONTROL,
        description="For a phone that cannot scan: the one that shows this very page. Asked again for the same number "
        "it gives the same code.",
        body=PairCodeBody,
        errors=(409, 429),
    ),
)
async def pair_by_phone(request: HttpRequest) -> PairCode:
    """Start linking by a code that the user types on the phone."""
    async with read_form(request) as form:
        digits = form.read("phoneNumber", partial(parse_phone_digits, country=whereabouts(request).country))
        form.check()
    asks, account = caller(request), _asked(request)[1]
    code = await linking.pair_by_phone(context(request).db, context(request).limits, asks, account, digits)
    return PairCode(code.text, to_wire(code.expires_at))


@post(
    "/api/whatsapp/logout",
    status_code=200,
    operation=Operation(
        "Unlink the WhatsApp account", Done, access=Scope.CONTROL, description="What waits is kept.", errors=(409,)
    ),
)
async def unlink(request: HttpRequest) -> Done:
    """Unlink the account."""
    await accounts.logout(context(request).db, *_asked(request))
    return Done(success=True, message="The WhatsApp account is being logged out.")


@post(
    "/api/whatsapp/hold",
    status_code=200,
    operation=Operation(
        "Hold messages",
        Done,
        access=Scope.CONTROL,
        description="Nothing goes out until they are released. What is being sent ends; new messages are accepted.",
        errors=(409,),
    ),
)
async def hold(request: HttpRequest) -> Done:
    """Let nothing go out until it is released."""
    await accounts.hold(context(request).db, *_asked(request))
    return Done(success=True, message="Nothing goes out until you release it.")


@post(
    "/api/whatsapp/release",
    status_code=200,
    operation=Operation(
        "Release messages that are held",
        Done,
        access=Scope.CONTROL,
        description="Those that you hold, or that wait since another number was linked, until somebody has looked.",
        errors=(409,),
    ),
)
async def release(request: HttpRequest) -> Done:
    """Let messages go out that are held since another number was linked."""
    await accounts.release(context(request).db, *_asked(request))
    return Done(success=True, message="The messages that were held go out now.")


def _asked(request: HttpRequest) -> tuple[UUID, UUID | None]:
    """Whose account is meant, and which: these routes name none, so the caller's usual one."""
    asks = caller(request)
    return asks.user.id, asks.account.id if asks.account else None
