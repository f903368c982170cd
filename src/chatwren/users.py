"""The commands `chatwren users …`: the users of this installation."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from chatwren.commands import DataDir, on_database, settings_of

if TYPE_CHECKING:
    from chatwren.store.database import Database

users = typer.Typer(help="The users of this installation.", no_args_is_help=True)

_DELETION_SECONDS = 90

Username = Annotated[str, typer.Argument(help="The user's name at login.")]


@users.command(name="list")
def list_users(data_dir: DataDir = None) -> None:
    """All users."""
    from chatwren.logs import printable
    from chatwren.service import users_admin

    async def run(db: "Database") -> None:
        print(f"{'user':24}  {'state':20}  {'since':10}  {'number':16}  name")
        for user in await users_admin.list_users(db):
            state = f"disabled {user.disabled_at:%Y-%m-%d}" if user.disabled_at else "active"
            state = "being deleted" if user.deleted_at else state
            phone = user.account_phone or "-"
            username, name = printable(user.username), printable(user.name)
            print(f"{username:24}  {state:20}  {user.created_at:%Y-%m-%d}  {phone:16}  {name}")

    on_database(data_dir, run)


@users.command()
def create(
    username: Username,
    name: Annotated[str, typer.Option(prompt=True, help="A person's or company's name.")],
    phone: Annotated[str, typer.Option(prompt=True, help="With country code.")],
    email: Annotated[str, typer.Option(prompt=True, help="Address of the user's mail.")],
    data_dir: DataDir = None,
) -> None:
    """Make a user, and print their new random password. Also where nobody can register."""
    from chatwren.service import users_admin

    async def run(db: "Database") -> None:
        print(await users_admin.create(db, username=username, name=name, phone=phone, email=email))

    on_database(data_dir, run)


@users.command(name="reset-password")
def reset_password(username: Username, data_dir: DataDir = None) -> None:
    """Give a user a new random password, print it, and end the user's sessions."""
    from chatwren.service import users_admin

    async def run(db: "Database") -> None:
        print(await users_admin.reset_password(db, username))

    on_database(data_dir, run)


@users.command()
def disable(username: Username, data_dir: DataDir = None) -> None:
    """Lock a user out. Nothing is deleted, and what waits goes out."""
    from chatwren.service import users_admin

    on_database(data_dir, lambda db: users_admin.disable(db, username))


@users.command()
def enable(username: Username, data_dir: DataDir = None) -> None:
    """Let a user who was disabled log in again."""
    from chatwren.service import users_admin

    on_database(data_dir, lambda db: users_admin.enable(db, username))


@users.command()
def delete(
    username: Username,
    data_dir: DataDir = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a user and everything of theirs: messages, files, keys; and unlink their device from the phone."""
    from chatwren.media.objects import media_store
    from chatwren.service import users_admin
    from chatwren.service.deletion import NoWorker

    if not yes:
        typer.confirm(f"Delete {username} and everything of theirs?", abort=True)
    settings = settings_of(data_dir=data_dir)
    lease, wait = timedelta(seconds=settings.lease_seconds), timedelta(seconds=_DELETION_SECONDS)

    async def run(db: "Database") -> None:
        media = media_store(settings.media_url or str(settings.data_dir / "media"))
        try:
            deleted = await users_admin.delete(db, media, username, lease=lease, wait=wait)
        except NoWorker:
            print(f"{username} can do nothing any more. No worker runs: everything is removed when one does.")
            return
        if deleted is None:
            print(
                f"{username} can do nothing any more. The rest takes longer: `chatwren users list` shows when it ends."
            )
            return
        print(f"{username} is deleted.")
        if not deleted.told_whatsapp:
            print("WhatsApp could not be told: the phone lists the device until it is removed there.")

    on_database(data_dir, run)


@users.command()
def limits(
    username: Username,
    data_dir: DataDir = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="LIMIT=NUMBER, or LIMIT=default. May be repeated.")
    ] = None,
) -> None:
    """What a user may have, and what that is for. With --set: from now on."""
    from chatwren.domain.limits import parse_override
    from chatwren.service import users_admin

    async def run(db: "Database") -> None:
        await users_admin.set_limits(db, username, [parse_override(one) for one in change or ()])
        for one in await users_admin.limits_of(db, username):
            note = "set" if one.is_override else ""
            print(f"{one.limit:18}  {one.allowed:>16,}  {note:3}  {one.meaning}")

    on_database(data_dir, run)


@users.command()
def export(username: Username, data_dir: DataDir = None) -> None:
    """Write all of a user's data to standard output, one JSON object a line."""
    from chatwren.service import users_admin

    async def run(db: "Database") -> None:
        async for line in users_admin.export(db, username):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()

    on_database(data_dir, run)
