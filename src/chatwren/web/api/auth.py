"""Signing up, logging in and out."""

from typing import Annotated

from litestar import Response, post
from msgspec import UNSET, Meta, Struct, UnsetType

from chatwren.domain.errors import Forbidden
from chatwren.domain.gst import parse_gst
from chatwren.domain.people import (
    given_password,
    given_username,
    parse_email,
    parse_name,
    parse_password,
    parse_phone,
    parse_username,
)
from chatwren.service import sessions, users
from chatwren.service.users import Registration
from chatwren.web.access import session_id
from chatwren.web.context import HttpRequest, client_address, context, is_https
from chatwren.web.forms import read_form
from chatwren.web.openapi import Operation


class RegisterBody(Struct):
    """Who signs up."""

    name: Annotated[str, Meta(description="1 to 200 characters.", examples=["John Doe"])]
    phone: Annotated[str, Meta(description="With country code.", examples=["+1234567890"])]
    email: Annotated[str, Meta(description="At most 254 characters.", examples=["john@example.com"])]
    username: Annotated[
        str, Meta(description="1 to 64 characters; unique, whatever the case of its letters.", examples=["johndoe"])
    ]
    password: Annotated[
        str, Meta(description="8 to 256 characters, and not one that is tried first.", examples=["securePassword123"])
    ]
    gst: Annotated[
        str | None, Meta(description="Tax number: 1 to 32 letters and digits, or nothing.", examples=["GST12345"])
    ] = None


class Registered(Struct):
    """The new user is logged in."""

    message: Annotated[str, Meta(examples=["User registered successfully"])]
    warnings: list[str] | UnsetType = UNSET


class LoginBody(Struct):
    """What was chosen at registration."""

    username: Annotated[str, Meta(examples=["johndoe"])]
    password: Annotated[str, Meta(examples=["securePassword123"])]


class LoggedInUser(Struct):
    """Who is logged in."""

    name: Annotated[str, Meta(examples=["John Doe"])]
    username: Annotated[str, Meta(examples=["johndoe"])]
    email: Annotated[str, Meta(examples=["john@example.com"])]


class LoggedIn(Struct):
    """The session is in the cookie."""

    message: Annotated[str, Meta(examples=["Login successful"])]
    user: LoggedInUser


class LoggedOut(Struct):
    """The cookie is cleared."""

    message: Annotated[str, Meta(examples=["Logged out successfully"])]


@post(
    "/api/auth/register",
    status_code=200,
    operation=Operation(
        "Register a new user",
        Registered,
        access=None,
        description="Logs the new user in. 403 where the operator has closed registration.",
        body=RegisterBody,
        errors=(403, 409, 429),
        sets_cookie=True,
    ),
)
async def register(request: HttpRequest) -> Response[Registered]:
    """Sign up, which also logs in."""
    if context(request).settings.registration == "closed":
        raise Forbidden("Nobody can register here. Ask whoever runs this server.", code="registration_closed")
    async with read_form(request) as form:
        name = form.read("name", parse_name)
        phone = form.read("phone", parse_phone)
        email = form.read("email", parse_email)
        username = form.read("username", parse_username)
        password = form.read("password", parse_password)
        gst = form.read("gst", parse_gst)
        form.check()
    number, warning = gst
    new = Registration(name=name, phone=phone, email=email, username=username, password=password, gst=number)
    _, sid = await users.register(
        context(request).db,
        context(request).throttling,
        new,
        address=client_address(request),
        instead_of=session_id(request),
    )
    answer = Registered("User registered successfully", [warning] if warning else UNSET)
    return Response(answer, headers={"set-cookie": context(request).cookie.line(sid, secure=is_https(request))})


@post(
    "/api/auth/login",
    status_code=200,
    operation=Operation("Log in", LoggedIn, access=None, body=LoginBody, errors=(401, 429), sets_cookie=True),
)
async def login(request: HttpRequest) -> Response[LoggedIn]:
    """Begin a session."""
    async with read_form(request) as form:
        username = form.read("username", given_username)
        password = form.read("password", given_password)
        form.check()
    user, sid = await users.log_in(
        context(request).db,
        context(request).throttling,
        context(request).limits,
        username,
        password,
        address=client_address(request),
        instead_of=session_id(request),
    )
    return Response(
        LoggedIn("Login successful", LoggedInUser(user.name, user.username, user.email)),
        headers={"set-cookie": context(request).cookie.line(sid, secure=is_https(request))},
    )


@post(
    "/api/auth/logout",
    status_code=200,
    operation=Operation(
        "Log out",
        LoggedOut,
        access=None,
        description="Ends the session. Without one it does nothing, and clears the cookie all the same.",
        sets_cookie=True,
    ),
)
async def logout(request: HttpRequest) -> Response[LoggedOut]:
    """End the session, if there is one."""
    if (sid := session_id(request)) is not None:
        await sessions.end(context(request).db, sid)
    return Response(
        LoggedOut("Logged out successfully"),
        headers={"set-cookie": context(request).cookie.clearing_line(secure=is_https(request))},
    )
