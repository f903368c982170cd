"""The commands, as a person types them."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import asyncpg
import pytest

from chatwren.channels.engine import convert
from chatwren.delivery.dead_letters import put_aside
from chatwren.machine.throwaway import fresh_database
from chatwren.service.throttling import Throttling
from chatwren.service.users import Registration, register
from chatwren.settings import Settings, variable
from chatwren.store.database import Database
from chatwren.store.migrate import migrate
from tests.conftest import Postgres
from tests.rows import Rows
from tests.unit.fake_engine import message, state
from tests.waiting import until


def chatwren(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with no settings but those given."""
    ours = {variable(name) for name in Settings.fields}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "chatwren", *arguments],
        cwd=cwd,
        env=clean | {"COLUMNS": "200"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_the_commands(tmp_path: Path) -> None:
    done = chatwren("--help", cwd=tmp_path)
    assert done.returncode == 0
    commands = "serve web worker sandbox migrate doctor settings users demo vary dead-letters"
    for command in commands.split():
        assert re.search(rf"^. {command} ", done.stdout, re.MULTILINE), command


def test_settings_are_shown_with_their_meaning_and_without_secrets(tmp_path: Path) -> None:
    done = chatwren(
        "settings",
        cwd=tmp_path,
        CHATWREN_COOKIE_SECRETS="hunter2hunter2",
        DATABASE_URL="postgresql://alice:hunter2@db.example/chatwren",
        CHATWREN_TIMEZONE="Asia/Kolkata",
    )
    assert done.returncode == 0, done.stderr
    for name in Settings.fields:
        assert variable(name) in done.stdout
    assert "Asia/Kolkata" in done.stdout
    assert "hunter2" not in done.stdout


@pytest.mark.parametrize("command", ["serve", "web", "worker", "settings", "doctor"])
def test_a_wrong_setting_is_one_line(tmp_path: Path, command: str) -> None:
    done = chatwren(command, cwd=tmp_path, CHATWREN_PORT="eighty")
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(r"chatwren: CHATWREN_PORT is not usable: [^\n]*\n", done.stderr)


@pytest.mark.parametrize("line", ["serve --port x", "serve --no-such", "serve --data-dir", "serve more", "web more"])
def test_a_wrong_option_is_told(tmp_path: Path, line: str) -> None:
    done = chatwren(*line.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert "Error" in done.stderr


@pytest.mark.parametrize("line", ["serve --port 70000", "serve --port=70000"])
def test_an_option_is_read_alike_in_both_forms(tmp_path: Path, line: str) -> None:
    done = chatwren(*line.split(), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "chatwren: CHATWREN_PORT is not usable: must be a whole number from 0 to 65535.\n"


def test_vary_prints_wordings_or_all_of_them_as_one_text(tmp_path: Path) -> None:
    text = "Hi Bob, your parcel is on its way."
    done = chatwren("vary", text, "--no-emojis", "-n", "9", cwd=tmp_path)
    assert [line for line in done.stdout.splitlines() if not line.startswith("  ")][1:]
    written = "{Hi Bob,|Hello Bob,|Hi there Bob,} your parcel {is on its way|is on the way|is already on its way}.\n"
    assert chatwren("vary", text, "--no-emojis", "--spintax", cwd=tmp_path).stdout == written
    read = subprocess.run(
        [sys.executable, "-m", "chatwren", "vary", "--no-emojis", "--spintax"],
        input=f"{text}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout == written
    none = chatwren("vary", f"{'{a|b}' * 4} {text}", "--spintax", cwd=tmp_path)
    assert (none.returncode, none.stdout) == (1, "")
    assert re.fullmatch(r"chatwren: The wordings of this text cannot be written as one: [^\n]*\n", none.stderr)


@pytest.mark.parametrize("command", ["web", "worker"])
def test_without_a_database_one_line_says_what_to_do(tmp_path: Path, command: str) -> None:
    done = chatwren(command, cwd=tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"chatwren: DATABASE_URL is not set\. `chatwren serve` [^\n]*\n", done.stderr)


NOWHERE = "postgresql://chatwren@/x?host=/nowhere&port=1"


@pytest.mark.parametrize("command", [["web"], ["users", "list"], ["dead-letters", "list"], ["migrate"]])
@pytest.mark.parametrize("url", [NOWHERE, "postgresql://chatwren@127.0.0.1:1/x", "mysql://alice@db/x", "elsewhere"])
def test_a_database_that_cannot_be_reached_is_one_line(tmp_path: Path, command: list[str], url: str) -> None:
    done = chatwren(*command, cwd=tmp_path, DATABASE_URL=url)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"chatwren: The database of DATABASE_URL cannot be reached: [^\n]*\n", done.stderr)


@pytest.mark.parametrize("command", [["web"], ["worker"], ["users", "list"], ["users", "disable", "alice"]])
async def test_a_database_without_tables_is_one_line(tmp_path: Path, postgres: Postgres, command: list[str]) -> None:
    async with fresh_database(postgres.url) as empty:
        done = await asyncio.to_thread(chatwren, *command, cwd=tmp_path, DATABASE_URL=empty)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "chatwren: The database has no tables of Chatwren yet: run `chatwren migrate`.\n"


async def test_doctor_looks_into_the_database(tmp_path: Path, postgres: Postgres) -> None:
    async with fresh_database(postgres.url) as empty:
        lacking = await asyncio.to_thread(chatwren, "doctor", cwd=tmp_path, DATABASE_URL=empty)
    assert lacking.returncode == 1
    assert re.search(r"^LACKING +database +The database has no tables of Chatwren yet", lacking.stdout, re.MULTILINE)


async def test_migrate_says_what_it_has_done(tmp_path: Path, postgres: Postgres) -> None:
    async with fresh_database(postgres.url) as url:

        async def said() -> str:
            done = await asyncio.to_thread(chatwren, "migrate", cwd=tmp_path, DATABASE_URL=url)
            assert done.returncode == 0, done.stderr
            return done.stdout

        await migrate(url, to="0017")
        assert re.fullmatch(r"The database was at 0017 and is at \d{4} now\.\n", await said())
        assert re.fullmatch(r"The database was up to date: it is at \d{4}\.\n", await said())
        connection = await asyncpg.connect(url)
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        assert await said() == "The database was up to date: it is at 9999.\n", "of a newer release"
        await connection.execute("UPDATE alembic_version SET version_num = 'f00d'")
        other = await asyncio.to_thread(chatwren, "migrate", cwd=tmp_path, DATABASE_URL=url)
        assert (other.returncode, other.stdout) == (1, "")
        assert re.fullmatch(
            r"chatwren: The database holds another program's tables \(at 'f00d'\)[^\n]*\n", other.stderr
        )
        await connection.close()
    async with fresh_database(postgres.url) as url:
        assert re.fullmatch(r"The database was empty: Chatwren's tables are made, at \d{4}\.\n", await said())


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["users", "list"], 1),
        (["users", "export", "alice"], 1),
        (["users", "delete", "--yes", "alice"], 1),
        (["dead-letters", "list"], 1),
        (["doctor"], 0),
        (["settings"], 0),
        (["vary", "Hello!"], 0),
    ],
)
def test_a_command_that_only_reads_makes_nothing(tmp_path: Path, command: list[str], code: int) -> None:
    folder, temporary = tmp_path / "here", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    ports = {"CHATWREN_PORT": "0", "CHATWREN_SANDBOX_PORT": "0", "TMPDIR": str(temporary)}
    done = chatwren(*command, cwd=folder, **ports)
    assert done.returncode == code, done.stdout + done.stderr
    assert [*folder.iterdir(), *temporary.iterdir()] == []
    if code:
        assert re.fullmatch(
            r"chatwren: There is no database in [^\n]*/here/data: [^\n]*--data-dir[^\n]*\n", done.stderr
        )


def test_doctor_knows_ports_of_chatwren_from_those_of_others(tmp_path: Path) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            is_ours = self.headers["Host"].endswith(f":{ours.server_port}")
            self.wfile.write(b'{"status":"ok"}' if is_ours else b"{}")

    def ports(*, port: int) -> str:
        done = chatwren("doctor", cwd=tmp_path, CHATWREN_PORT=str(port), CHATWREN_SANDBOX_PORT="0")
        return next(line for line in done.stdout.splitlines() if " ports " in line)

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Answers) as ours,
        ThreadingHTTPServer(("127.0.0.1", 0), Answers) as other,
    ):
        for one in (ours, other):
            Thread(target=one.serve_forever, daemon=True).start()
        assert ports(port=ours.server_port).startswith("OK ")
        assert ports(port=other.server_port).startswith("LACKING ")
        for one in (ours, other):
            one.shutdown()


def test_the_sandbox_says_how_its_port_is_changed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = chatwren("sandbox", "--port", str(port), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    hint = "choose another with --port (CHATWREN_SANDBOX_PORT)"
    assert done.stderr == f"chatwren: Port {port} is in use by another program: {hint}.\n"


def test_a_file_of_settings_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"CHATWREN_PORT=\xff\n")
    done = chatwren("settings", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"chatwren: The file \.env cannot be read: [^\n]*\n", done.stderr)


@pytest.mark.parametrize("command", ["web", "worker"])
def test_doubtful_settings_are_told_at_the_start_and_by_doctor(tmp_path: Path, command: str) -> None:
    environment = {"CHATWREN_PUBLICURL": "https://wa.example.com", "CHATWREN_PORT": "0", "CHATWREN_SANDBOX_PORT": "0"}
    started = chatwren(command, cwd=tmp_path, DATABASE_URL=NOWHERE if command == "web" else "", **environment)
    doctor = chatwren("doctor", cwd=tmp_path, **environment)
    assert doctor.returncode == 0
    for said in (started.stderr, doctor.stdout):
        assert "CHATWREN_PUBLICURL is no setting of Chatwren: did you mean CHATWREN_PUBLIC_URL?" in said


def test_the_version_and_the_short_word_for_help(tmp_path: Path) -> None:
    assert re.fullmatch(r"chatwren \d+\.\d+\.\d+\n", chatwren("--version", cwd=tmp_path).stdout)
    for command in ([], ["serve"], ["users"], ["users", "list"]):
        assert chatwren(*command, "-h", cwd=tmp_path).stdout == chatwren(*command, "--help", cwd=tmp_path).stdout != ""


def test_doctor_says_what_is_lacking_and_ends_with_1(tmp_path: Path) -> None:
    good = chatwren(
        "doctor", "--data-dir", str(tmp_path / "data"), cwd=tmp_path, CHATWREN_PORT="0", CHATWREN_SANDBOX_PORT="0"
    )
    assert good.returncode == 0, good.stdout
    assert "LACKING" not in good.stdout
    bad = chatwren("doctor", cwd=tmp_path, DATABASE_URL=NOWHERE)
    assert bad.returncode == 1
    assert re.search(r"^LACKING +database +The database of DATABASE_URL cannot be reached", bad.stdout, re.MULTILINE)


def test_doctor_says_what_is_unsafe_which_keeps_nobody_from_running(tmp_path: Path) -> None:
    data = tmp_path / "data"

    data.mkdir(mode=0o711)

    def unsafe() -> list[str]:
        done = chatwren("doctor", "--data-dir", str(data), cwd=tmp_path, CHATWREN_PORT="0", CHATWREN_SANDBOX_PORT="0")
        assert done.returncode == 0, done.stdout
        return [line for line in done.stdout.splitlines() if line.startswith("UNSAFE") and " user " not in line]

    assert unsafe() == []
    (tmp_path / ".env").write_text("CHATWREN_COOKIE_SECRETS=secret")
    (tmp_path / ".env").chmod(0o644)
    data.chmod(0o755)
    (found,) = unsafe()
    assert f"others on this machine can read or write {data}, .env: chmod o-rw." in found


def test_vary_prints_a_variation_and_what_was_changed(tmp_path: Path) -> None:
    message = "Hello! Thank you for your order. Please reply to this message if you need any help."
    once, again, other = (chatwren("vary", message, "--seed", seed, cwd=tmp_path).stdout for seed in "112")
    assert once == again
    assert once != other
    assert " -> " in once
    several = chatwren("vary", message, "-n", "4", "--seed", "1", cwd=tmp_path).stdout
    assert several.startswith(once)
    texts = [line for line in several.splitlines() if not line.startswith("  ")]
    assert len(texts) == len(set(texts)) == 4
    assert len(chatwren("vary", "Ok 12", "-n", "4", cwd=tmp_path).stdout.splitlines()) == 2, "there is but one"


async def test_users(tmp_path: Path, db: Database, database_url: str) -> None:
    for username in ("alice", "bob"):
        new = Registration(
            "Some\u202eBody\x1b[2J", "+919876543210", f"{username}@example.com", username, "a good password", ""
        )
        await register(db, Throttling(db), new, address="", instead_of=None)

    async def users(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(chatwren, "users", *arguments, cwd=tmp_path, DATABASE_URL=database_url)

    assert [line.split()[:2] for line in (await users("list")).stdout.splitlines()] == [
        ["user", "state"],
        ["alice", "active"],
        ["bob", "active"],
    ]
    assert r"Some\u202eBody\x1b[2J" in (await users("list")).stdout, "harmless for a terminal"
    assert len((await users("reset-password", "alice")).stdout.strip()) >= 12
    assert (await users("disable", "bob")).returncode == 0
    assert "disabled" in (await users("list")).stdout.splitlines()[2]
    assert (await users("enable", "bob")).returncode == 0
    assert "disabled" not in (await users("list")).stdout
    exported = [json.loads(line) for line in (await users("export", "alice")).stdout.splitlines()]
    assert "alice@example.com" in str(exported)
    assert "bob" not in str(exported)
    assert (await users("delete", "bob")).returncode != 0, "it asks first, and nobody answers"
    assert (await users("delete", "--yes", "bob")).returncode == 0
    assert len((await users("list")).stdout.splitlines()) == 2
    missing = await users("disable", "bob")
    assert (missing.returncode, missing.stderr) == (1, "chatwren: There is no user bob.\n")


@pytest.mark.anyio
async def test_dead_letters(tmp_path: Path, db: Database, database_url: str) -> None:
    """What an operator types after something could not be stored."""
    alice = await Rows(db).account("alice")
    events = [message(alice, "ONE", text="private \x1b[2J"), message(alice, "TWO"), state(alice, "CONNECTED")]
    async with db.transaction() as connection:
        for event in events:
            await put_aside(connection, convert.event(event.SerializeToString()), "planted \x1b[31m reason")

    async def letters(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(chatwren, "dead-letters", *arguments, cwd=tmp_path, DATABASE_URL=database_url)

    listed = await letters("list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["1", "2", "3"]
    assert "alice" in listed.stdout
    assert "private" not in listed.stdout
    shown = (await letters("show", "1")).stdout
    assert str(alice) in shown
    assert 'text: "private' in shown
    assert "\x1b" not in listed.stdout + shown
    assert (await letters("discard", "2")).returncode == 0
    again = await letters("retry", "--all")
    assert again.returncode == 1
    assert "stored" in again.stdout.splitlines()[0]
    assert "state of its account" in again.stdout.splitlines()[1]
    assert len((await letters("list")).stdout.splitlines()) == 1
    missing = await letters("retry", "1")
    assert (missing.returncode, missing.stderr) == (1, "chatwren: There is no dead letter 1.\n")
    for unclear in ([], ["3", "--all"]):
        assert (await letters("discard", *unclear)).stderr.startswith("chatwren: Name one dead letter")
    for act in ("show", "retry", "discard"):
        beyond = await letters(act, "9223372036854775808")
        assert (beyond.returncode, "Traceback" in beyond.stderr) == (2, False)
        assert "9223372036854775807" in beyond.stderr
        below = await letters(act, "--", "-9223372036854775809")
        assert (below.returncode, "Traceback" in below.stderr) == (2, False)
    assert (await letters("discard", "--all")).returncode == 0
    assert (await letters("list")).stdout == ""
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT array_agg(wa_id) FROM inbound") == ["ONE"]


@pytest.mark.parametrize("act", ["retry", "discard"])
@pytest.mark.anyio
async def test_of_all_dead_letters_one_that_somebody_else_takes_costs_no_other(
    tmp_path: Path, db: Database, database_url: str, act: str
) -> None:
    alice = await Rows(db).account("alice")
    async with db.transaction() as connection:
        for wa_id in ("ONE", "TWO"):
            await put_aside(connection, convert.event(message(alice, wa_id).SerializeToString()), "planted")

    async def waits_for_it() -> bool:
        waiting = "datname = current_database() AND wait_event_type = 'Lock'"
        return bool(await Rows(db).one(f"SELECT count(*) FROM pg_stat_activity WHERE {waiting}"))

    async with asyncio.TaskGroup() as group, db.transaction() as taking:
        await taking.execute("DELETE FROM dead_letter WHERE id = 1")
        command = ["dead-letters", act, "--all"]
        acting = group.create_task(asyncio.to_thread(chatwren, *command, cwd=tmp_path, DATABASE_URL=database_url))
        await until(waits_for_it, seconds=60)
    assert acting.result().returncode == 0, acting.result().stderr
    assert await Rows(db).one("SELECT count(*) FROM dead_letter") == 0
    assert await Rows(db).one("SELECT count(*) FROM inbound") == (act == "retry")
