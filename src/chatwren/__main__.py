"""The commands. `chatwren --help` lists them; heavy modules are imported by the command that needs them."""

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from chatwren.commands import DataDir, given, on_database, run_to_end, settings_of
from chatwren.dead_letters import letters
from chatwren.domain.errors import ChatwrenError
from chatwren.settings import CannotStart, Settings, load_settings, variable

if TYPE_CHECKING:
    from chatwren.machine.serve import Addresses
    from chatwren.store.database import Database

app = typer.Typer(
    help="WhatsApp automation that a business can lean on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
users = typer.Typer(help="The users of this installation.", no_args_is_help=True)
app.add_typer(users, name="users")
app.add_typer(letters, name="dead-letters")

_DELETION_SECONDS = 90

Username = Annotated[str, typer.Argument(help="The user's name at login.")]


@app.command()
def serve(
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Simulated phones instead of WhatsApp.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1 and ::1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API and the pages. Default: 8000.")] = None,
    sandbox_port: Annotated[int | None, typer.Option(help="Port of the simulated phones. Default: 8001.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Run everything on this machine, with a PostgreSQL of its own unless DATABASE_URL is set."""

    async def announce(addresses: "Addresses") -> None:
        print(f"Chatwren is ready: {addresses.web} (API documentation: {addresses.web}/docs)")
        if addresses.phones:
            print(f"Simulated phones:  {addresses.phones}")
        sys.stdout.flush()

    _serve(
        settings_of(sandbox=sandbox or None, host=host, port=port, sandbox_port=sandbox_port, data_dir=data_dir),
        announce,
    )


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, and say how to go on.")] = False,
    port: Annotated[int | None, typer.Option(help="Port of the API and the pages. Default: 8000.")] = None,
    sandbox_port: Annotated[int | None, typer.Option(help="Port of the simulated phones. Default: 8001.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Run everything in sandbox mode and do the main job: link a phone, send, schedule, until all is read."""
    from chatwren import demo as job

    options: dict[str, Any] = {"sandbox": True, "port": port, "sandbox_port": sandbox_port, "data_dir": data_dir}
    settings = load_settings(**given(options))
    if "log_level" not in settings.model_fields_set:  # the steps are what one wants to see
        options["log_level"] = "warning"
    settings = settings_of(**options)
    print("Starting PostgreSQL, the simulated phones, a worker with its engine, and web ...", flush=True)

    async def act(addresses: "Addresses") -> int | None:
        phones = addresses.phones
        assert phones is not None  # noqa: S101 - sandbox mode
        try:
            login = await job.run(
                base_url=addresses.web,
                phones_url=phones,
                data_dir=settings.data_dir,
                say=lambda line: print(line, flush=True),
            )
        except job.DemoError as error:
            print(error, file=sys.stderr)
            return 1
        if not keep:
            return 0
        jar = job.cookie_jar(settings.data_dir.resolve())
        print(
            f"\nEverything is up; Ctrl-C ends it.\n"
            f"  API documentation  {addresses.web}/docs\n"
            f"  the user           {login.username}, password {login.password}\n"
            f"  simulated phones   {phones}\n"
            f"  curl               curl -b '{jar}' {addresses.web}/api/messages/queue\n"
            f"  link your own user's account: log in with `curl -c my.jar`, then have its code scanned:\n"
            f'    curl -sb my.jar {addresses.web}/api/whatsapp/createqr | sed \'s/"qrCode"/"qr"/\' | '
            f"curl -s -H 'Content-Type: application/json' -d @- {phones}/phones/919811112222/scan",
            flush=True,
        )
        return None

    _serve(settings, act)


@app.command()
def web() -> None:
    """Answer HTTP requests: one of any number of such processes."""
    settings = _with_database(settings_of())
    from chatwren.web.server import run

    run(settings)


@app.command()
def worker() -> None:
    """Send and receive messages: one of any number of such processes, each with its engine."""
    settings = _with_database(settings_of())
    from chatwren.delivery.worker import run

    run_to_end(run(settings))


@app.command()
def sandbox(
    port: Annotated[int | None, typer.Option(help="Port of the simulated phones' page.")] = None,
    listen: Annotated[str, typer.Option(help="host:port that engines dial.")] = "127.0.0.1:8002",
    data_dir: DataDir = None,
) -> NoReturn:
    """Run the simulated WhatsApp alone, for a Chatwren elsewhere: it prints what that one has to be told."""
    from chatwren.machine import programs
    from chatwren.machine.serve import phones_address

    settings = settings_of(sandbox_port=port, data_dir=data_dir)
    program = str(programs.sandbox())
    phones = ["--phones-listen", phones_address(settings)]
    state = str(settings.data_dir / "sandbox")
    os.execv(program, [program, "--listen", listen, *phones, "--state-dir", state])  # noqa: S606 - ours, no shell wanted


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to this version. `serve` does so by itself; on many machines run it once before the update."""
    from chatwren.machine.postgres import reach_database
    from chatwren.machine.serve import migrate_all

    settings = settings_of(data_dir=data_dir)

    async def run() -> None:
        async with reach_database(settings) as url:
            await migrate_all(url)

    run_to_end(run())
    print("The database is up to date.")


@app.command()
def doctor(data_dir: DataDir = None) -> None:
    """What this machine lacks or has unsafe, and how to mend it. Ends with 1 when running needs what is lacking."""
    from chatwren.machine.doctor import examine

    findings = examine(settings_of(data_dir=data_dir))
    for finding in findings:
        mark = "OK" if finding.good else finding.lacks
        print(f"{mark:7}  {finding.what:26}  {finding.found}")
    raise typer.Exit(any(not finding.good and finding.lacks == "LACKING" for finding in findings))


@app.command(name="settings")
def show_settings() -> None:
    """Every setting, its value and its meaning."""
    from rich.console import Console
    from rich.table import Table

    from chatwren.logs import HIDDEN, hide_password

    table = Table("variable", "value", "meaning", show_lines=True)
    current = settings_of()
    for name, field in Settings.model_fields.items():
        value = getattr(current, name)
        shown = "" if value in (None, ()) else HIDDEN if not field.repr else hide_password(_plain(value))
        table.add_row(variable(name), shown, field.description)
    Console().print(table)


@app.command()
def vary(
    message: Annotated[str, typer.Argument(help="The text to vary.")],
    seed: Annotated[str, typer.Option(help="Another seed, another variation.")] = "0",
) -> None:
    """Print a variation of a text, and what was changed or why nothing was."""
    from chatwren.variation import Modifications, Unchanged, explain
    from chatwren.variation import vary as make

    variation = make(message, Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True), seed=seed)
    print(variation.text)
    for change in variation.changes:
        print(f"  {change.rule}: {change.before!r} -> {change.after!r}")
    if variation.unchanged_because is not None:
        print(f"  {explain(Unchanged(variation.unchanged_because))}")


@users.command(name="list")
def list_users(data_dir: DataDir = None) -> None:
    """All users."""
    from chatwren.logs import printable
    from chatwren.service import users_admin

    async def run(db: "Database") -> None:
        for user in await users_admin.list_users(db):
            state = f"disabled {user.disabled_at:%Y-%m-%d}" if user.disabled_at else "active"
            state = "being deleted" if user.deleted_at else state
            phone = user.account_phone or "-"
            username, name = printable(user.username), printable(user.name)
            print(f"{username:24}  {state:20}  since {user.created_at:%Y-%m-%d}  {phone:16}  {name}")

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
    media = media_store(settings.media_url or str(settings.data_dir / "media"))

    async def run(db: "Database") -> None:
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


def _with_database(settings: Settings) -> Settings:
    if settings.database_url is None:
        raise CannotStart(
            "DATABASE_URL is not set. `chatwren serve` runs a PostgreSQL of its own and all else with it."
        )
    return settings


def _serve(settings: Settings, then: "Callable[[Addresses], Awaitable[int | None]]") -> NoReturn:
    from chatwren.machine import serve as supervisor

    raise typer.Exit(run_to_end(supervisor.serve(settings, then)))


def _plain(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else json.dumps(value) if isinstance(value, bool) else str(value)


def main() -> NoReturn:
    """The `chatwren` command: what a person has to know goes to standard error in one line, with exit code 1."""
    try:
        app()
    except ChatwrenError as error:
        sys.exit(f"chatwren: {error.message}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    sys.exit(0)


if __name__ == "__main__":
    main()
