"""A user's profile."""

from typing import Annotated

from litestar import get, patch, post
from msgspec import Meta, Struct

from chatwren.domain.caller import Scope
from chatwren.domain.people import given_password, parse_password
from chatwren.domain.times import parse_zone
from chatwren.domain.users import User
from chatwren.service import users
from chatwren.web.access import caller, session_id
from chatwren.web.context import HttpRequest, client_address, context
from chatwren.web.forms import read_form
from chatwren.web.openapi import Operation


class Profile(Struct, rename="camel"):
    """Who is logged in."""

    id: Annotated[str, Meta(examples=["0197a3f2c9e07c3b9d5f8e6a41b2c3d4"])]
    name: Annotated[str, Meta(examples=["John Doe"])]
    email: Annotated[str, Meta(examples=["john@example.com"])]
    username: Annotated[str, Meta(examples=["johndoe"])]
    phone: Annotated[str, Meta(examples=["+1234567890"])]
    gst: Annotated[str, Meta(description="Empty when none was given.", examples=["GST12345"])]
    time_zone: Annotated[
        str | None, Meta(description="By which times without a zone are read.", examples=["Asia/Kolkata"])
    ]


class ProfileBody(Struct, rename="camel"):
    """What to change of the profile."""

    time_zone: Annotated[
        str | None,
        Meta(description="IANA name, or null to have none. Left out: it stays.", examples=["Asia/Kolkata"]),
    ] = None


class PasswordBody(Struct, rename="camel"):
    """The password until now, and the one from now on."""

    current_password: Annotated[str, Meta(examples=["securePassword123"])]
    new_password: Annotated[
        str, Meta(description="8 to 256 characters, and not one that is tried first.", examples=["three words or more"])
    ]


class PasswordChanged(Struct):
    """The new password counts."""

    success: Annotated[bool, Meta(examples=[True])]
    ended: Annotated[int, Meta(description="How many other sessions of the user have ended.", examples=[2])]


@get("/api/users/me", operation=Operation("Get the user's profile", Profile, access=Scope.READ))
async def me(request: HttpRequest) -> Profile:
    """Who is logged in."""
    return _profile(caller(request).user)


@patch("/api/users/me", operation=Operation("Change the user's profile", Profile, access=Scope.ADMIN, body=ProfileBody))
async def change_me(request: HttpRequest) -> Profile:
    """Change the time zone."""
    user = caller(request).user
    async with read_form(request) as form:
        if form.given("timeZone"):
            zone = form.read("timeZone", parse_zone)
            form.check()
            user = await users.set_time_zone(context(request).db, user, zone)
    return _profile(user)


@post(
    "/api/users/me/password",
    status_code=200,
    operation=Operation(
        "Change the user's password",
        PasswordChanged,
        access=Scope.ADMIN,
        description="Ends all other sessions. A wrong current password is 401 `wrong_credentials`, and counts as a "
        "failed log-in.",
        body=PasswordBody,
        errors=(429,),
    ),
)
async def change_password(request: HttpRequest) -> PasswordChanged:
    """Change the password."""
    asks = caller(request)
    async with read_form(request) as form:
        current = form.read("currentPassword", given_password)
        new = form.read("newPassword", parse_password)
        form.check()
    ended = await users.change_password(
        context(request).db,
        context(request).throttling,
        asks,
        current,
        new,
        address=client_address(request),
        sid=session_id(request),
    )
    return PasswordChanged(success=True, ended=ended)


def _profile(user: User) -> Profile:
    return Profile(
        id=user.id.hex,
        name=user.name,
        email=user.email,
        username=user.username,
        phone=user.phone,
        gst=user.gst,
        time_zone=user.time_zone,
    )
