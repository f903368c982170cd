"""The commands. `chatwren --help` lists them; heavy modules are imported by the command that needs them."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import chatwren.lean  # first
from chatwren.commands import (
    DataDir,
    given,
    outlast_log_rotation,
    run_to_end,
    say_doubts,
    settings_of,
    wait_for_database,
)
from chatwren.dead_letters import letters
from chatwren.domain.errors import ChatwrenError
from chatwren.settings import CannotStart, Settings, variable
from chatwren.users import users

if TYPE_CHECKING:
    from chatwren.machine.serve import Addresses

app = typer.Typer(
    help="WhatsApp automation that a business can lean on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(users, name="users")
app.add_typer(letters, name="dead-letters")

_VARY_TRIES = 10


def _say_version(asked: bool) -> None:
    if asked:
        import importlib.metadata

        print(f"chatwren {importlib.metadata.version('chatwren')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """WhatsApp automation that a business can lean on."""


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
    settings = Settings(**given(options))
    if "log_level" not in settings.chosen:  # the steps are what one wants to see
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
            f"  link your own user's account: log in with `curl -c my.jar`, then let another phone scan its code:\n"
            f'    curl -sb my.jar {addresses.web}/api/whatsapp/createqr | sed \'s/"qrCode"/"qr"/\' | '
            f"curl -s -H 'Content-Type: application/json' -d @- {phones}/phones/{job.OWN_PHONE}/scan",
            flush=True,
        )
        return None

    _serve(settings, act)


@app.command()
def web() -> None:
    """Answer HTTP requests: one of any number of such processes."""
    outlast_log_rotation()
    settings = settings_of()
    say_doubts(settings)
    url = _url_of(settings)
    from chatwren.machine.database import check_tables
    from chatwren.web.server import run

    wait_for_database()
    run_to_end(check_tables(url))
    run(settings)


@app.command()
def worker() -> None:
    """Send and receive messages: one of any number of such processes, each with its engine."""
    outlast_log_rotation()
    settings = settings_of()
    say_doubts(settings)
    url = _url_of(settings)
    from chatwren.delivery.worker import run
    from chatwren.machine.database import Away, check_tables

    wait_for_database()
    with contextlib.suppress(Away):  # a worker waits for it
        run_to_end(check_tables(url))
    run_to_end(run(settings))


@app.command()
def sandbox(
    port: Annotated[int | None, typer.Option(help="Port of the simulated phones' page.")] = None,
    listen: Annotated[str, typer.Option(help="host:port that engines dial.")] = "127.0.0.1:8002",
    data_dir: DataDir = None,
) -> NoReturn:
    """Run the simulated WhatsApp alone, for a Chatwren elsewhere: it prints what that one has to be told."""
    from chatwren.machine import programs
    from chatwren.machine.serve import phones_address, port_problem

    settings = settings_of(sandbox_port=port, data_dir=data_dir)
    if problem := port_problem([settings.sandbox_host], settings.sandbox_port):
        raise CannotStart(f"{problem}: choose another with --port ({variable('sandbox_port')}).")
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

    async def run() -> tuple[str | None, str | None]:
        async with reach_database(settings) as url:
            return await migrate_all(url)

    before, after = run_to_end(run())
    if before is None:
        print(f"The database was empty: Chatwren's tables are made, at {after}.")
    elif before != after:
        print(f"The database was at {before} and is at {after} now.")
    else:
        print(f"The database was up to date: it is at {after}.")


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
    for name, field in Settings.fields.items():
        value = getattr(current, name)
        shown = "" if value in (None, ()) else HIDDEN if field.secret else hide_password(_plain(value))
        table.add_row(variable(name), shown, field.description)
    Console().print(table)


@app.command()
def vary(
    message: Annotated[str | None, typer.Argument(help="The text to vary. Without it, standard input is read.")] = None,
    *,
    seed: Annotated[str, typer.Option(help="Another seed, another variation.")] = "0",
    number: Annotated[int, typer.Option("-n", "--number", min=1, max=1000, help="How many variations.")] = 1,
    synonyms: Annotated[bool, typer.Option(help="Say phrases in another way.")] = True,
    emojis: Annotated[bool, typer.Option(help="Add emojis, and swap those of the text.")] = True,
    shuffle: Annotated[bool, typer.Option(help="Let sentences that stand alone change places.")] = True,
    spintax: Annotated[bool, typer.Option("--spintax", help="Print all of them as one text to edit: {a|b}.")] = False,
) -> None:
    """Print variations of a text, each once, and what was changed or why nothing was."""
    from chatwren import variation

    text = sys.stdin.read().removesuffix("\n") if message is None else message
    wanted = variation.Modifications(use_synonyms=synonyms, add_emojis=emojis, shuffle_sentences=shuffle)
    if spintax:
        written = variation.spintax(text, wanted)
        if written is None:
            raise CannotStart("The wordings of this text cannot be written as one: they are too many, or too long.")
        print(written)
        return
    printed: set[str] = set()
    for one in (seed, *(f"{seed}.{again}" for again in range(1, number * _VARY_TRIES))):
        varied = variation.vary(text, wanted, seed=one)
        if varied.text in printed:
            continue
        printed.add(varied.text)
        print(varied.text)
        for change in varied.changes:
            print(f"  {change.rule}: {change.before!r} -> {change.after!r}")
        if varied.unchanged_because is not None:
            print(f"  {variation.explain(variation.Unchanged(varied.unchanged_because))}")
        if len(printed) >= min(number, varied.variants_possible):
            break


def _url_of(settings: Settings) -> str:
    if settings.database_url is None:
        raise CannotStart(
            "DATABASE_URL is not set. `chatwren serve` runs a PostgreSQL of its own and all else with it."
        )
    return settings.database_url


def _serve(settings: Settings, then: "Callable[[Addresses], Awaitable[int | None]]") -> NoReturn:
    from chatwren.machine import serve as supervisor

    outlast_log_rotation(hang_up=False)
    say_doubts(settings)
    sys.exit(run_to_end(supervisor.serve(settings, then)))


def _plain(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else json.dumps(value) if isinstance(value, bool) else str(value)


def _run_at_once(arguments: list[str]) -> None:
    """Run what stays up, if its options are written plainly: typer loads 7 MB and 70 ms to read them. Else return."""
    match arguments:
        case ["web" | "worker" as name]:
            chatwren.lean.without_pydantic()
            {"web": web, "worker": worker}[name]()
            sys.exit(0)
        case ["serve", *rest]:
            given: dict[str, Any] = {}
            while rest:
                match rest:
                    case ["--sandbox", *rest]:
                        given["sandbox"] = True
                    case ["--host" | "--data-dir" as option, value, *rest] if not value.startswith("-"):
                        given[option[2:].replace("-", "_")] = value
                    case ["--port" | "--sandbox-port" as option, value, *rest] if value.isdecimal():
                        given[option[2:].replace("-", "_")] = int(value)
                    case _:
                        return
            serve(**given)


def main() -> NoReturn:
    """The `chatwren` command: what a person has to know goes to standard error in one line, with exit code 1."""
    try:
        _run_at_once(sys.argv[1:])
        app()
    except ChatwrenError as error:
        sys.exit(f"chatwren: {error.message}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    sys.exit(0)


if __name__ == "__main__":
    main()
