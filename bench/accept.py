"""How many messages a second are accepted over HTTP, durably: against pgbench, and while others are sent.

    python bench/accept.py [--check]

`chatwren web` and the embedded PostgreSQL run as in production, and each caller sends its next message, to somebody who
has been reached before, when the one before was answered. pgbench inserts the row that web has stored, under new ids,
with as many clients; and an empty route on the same libraries is asked the same. First a lone caller has the server,
whose statements nobody has planned yet; then all take turns in each of three rounds, and what is printed are the
medians. Nobody takes statistics of the tables.

Then with all of `chatwren serve --sandbox`: messages are scheduled for tomorrow, alone and while 400 a second of other
accounts become due and go out through worker, engine and sandbox. --check: exit 1 when a ratio is under its floor.
"""

import asyncio
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chatwren.machine.places import find_home, find_programs
from chatwren.machine.postgres import reach_database
from chatwren.settings import Settings
from chatwren.store.database import Database
from parts import callers, command, empty, system
from parts.callers import Load
from parts.served import link_accounts, serve, until
from parts.system import Person
from sends import STARTS_IN, put

ROUNDS = 3
SECONDS = 3.0
CALLERS = (1, 16, 64)
USERS = 16
RECIPIENTS = 100
SENDERS, SENT_A_SECOND = 40, 400
SENDING_SECONDS = 4.0
CALLERS_WHILE_SENDING = (1, 16)
FLOORS = {1: 0.25, 16: 0.33, 64: 0.5}
"""Least accepted a second, as a share of what pgbench inserts with as many clients: 0.7 to 0.8 of what was seen on a
machine with nothing else to do, of one user or of many, whichever is less. ADR 8 says what more would take."""
FLOOR_WHILE_SENDING = 0.35
"""Least accepted a second while others are sent, as a share of what is accepted alone."""
LEAST_SENT = 0.95
"""Of those that became due meanwhile: what is accepted must not be at their cost."""


@dataclass(frozen=True, slots=True)
class Both:
    """Accepting alone, and while others are sent; the share that was sent of what was due of them."""

    alone: Load
    meanwhile: Load
    sent: float

    @property
    def ratio(self) -> float:
        """What is accepted a second meanwhile, as a share of what is alone."""
        return self.meanwhile.rate / self.alone.rate


ALL_SENT = "SELECT NOT EXISTS (SELECT FROM message WHERE status <= 'sending' AND due < now() + interval '1 h')"


@dataclass(frozen=True, slots=True)
class Pgbench:
    """PostgreSQL's own load generator, with one script for each person."""

    program: Path
    url: str
    scripts: Sequence[Path]

    async def insert(self, *, clients: int, seconds: float) -> Load:
        """Insert for so many seconds."""
        log = self.scripts[0].parent / "pgbench_log"
        process = await asyncio.create_subprocess_exec(
            *(str(self.program), "--no-vacuum", "--protocol=prepared", f"--client={clients}", f"--time={seconds:.0f}"),
            *("--log", f"--log-prefix={log}", *(f"--file={script}" for script in self.scripts), self.url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode()
        assert process.returncode == 0, said
        took: list[float] = []
        for part in log.parent.glob(f"{log.name}.*"):
            took += [int(line.split()[2]) / 1_000_000 for line in part.read_text().splitlines()]
            part.unlink()
        rate = next(line for line in said.splitlines() if line.startswith("tps = ")).split()[2]
        return Load(float(rate), sorted(took))


def requests_of(person: Person, **more: str) -> list[bytes]:
    """Messages of a person to one recipient after the other, as a browser's form sends them, with further fields."""
    made = []
    for number in range(RECIPIENTS):
        fields = {"phoneId": f"+49152{number:08d}", "message": "Hello, your table is booked for tonight at eight."}
        fields |= more
        parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}\r\n' for name in fields]
        body = "".join((*parts, "--b--\r\n"))
        made.append(
            (
                f"POST /api/messages/send HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {person.cookie}\r\n"
                f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            ).encode()
        )
    return made


async def know(db: Database) -> None:
    """Let every recipient be one who has been reached before, as most recipients of a business are."""
    async with db.connection() as connection:
        await connection.execute(
            "INSERT INTO contact (account_id, address, reached_at) SELECT id, '49152' || lpad(n::text, 8, '0'), now()"
            " FROM account, generate_series(0, $1::integer - 1) AS n",
            RECIPIENTS,
        )


async def insert_like(db: Database, person: Person) -> str:
    """A script that inserts the person's last message again, each time under new ids and to one of the recipients."""
    new = {
        "id": "uuidv7()",
        "wa_id": "'3EB0' || upper(left(replace(gen_random_uuid()::text, '-', ''), 18))",
        "recipient": "'49152' || lpad(:n::text, 8, '0')",
        "accepted_at": "now()",
        "due": "now()",
    }
    async with db.connection() as connection:
        columns = [
            row[0]
            for row in await connection.fetch(
                "SELECT column_name::text FROM information_schema.columns"
                " WHERE table_name = 'message' AND is_generated = 'NEVER' ORDER BY ordinal_position"
            )
        ]
        literals = ", ".join(f"quote_nullable({name}::text)" for name in columns)
        stored = await connection.fetchrow(
            f"SELECT {literals} FROM message WHERE user_id = $1 ORDER BY id DESC LIMIT 1", person.user
        )
    values = [new.get(name, literal) for name, literal in zip(columns, stored, strict=True)]
    return (
        f"\\set n random(0, {RECIPIENTS - 1})\n"
        f"INSERT INTO message ({', '.join(columns)}) VALUES ({', '.join(values)});\n"
    )


async def leave_unknown(db: Database) -> None:
    """Let nobody take statistics of the tables that grow."""
    async with db.connection() as connection:
        for table in ("account", "app_user", "contact", "message", "message_total", "session"):
            await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")


async def measure(folder: Path) -> list[str]:
    """Print how it went; what is under its floor."""
    return [*await against_pgbench(_made(folder / "web")), *await while_sending(_made(folder / "served"))]


async def against_pgbench(folder: Path) -> list[str]:
    """Accepting against pgbench."""
    settings = Settings(_env_file=None, data_dir=folder)
    under = []
    async with (
        system.postgres(folder) as url,
        Database.connect(url) as db,
        system.web(url, folder) as web,
        system.web(url, _made(folder / "empty"), program=(empty.__file__,)) as least,
    ):
        pgbench = find_programs(find_home(settings)[1]) / "pgbench"
        people = await system.sign_up(db, USERS)
        await leave_unknown(db)
        await know(db)
        cold = await callers.call(web.port, [requests_of(people[0])], callers=1, seconds=SECONDS)
        print(f"a lone caller before anybody else: {cold.rate:.0f} accepted/s, p50 {cold.percentile(50):.2f} ms")
        await callers.call(web.port, [requests_of(one) for one in people], callers=USERS, seconds=1)
        scripts = [_file(folder / f"{number}.sql", await insert_like(db, one)) for number, one in enumerate(people)]
        print("users callers   pgbench/s  accepted/s  ratio   p50 ms: pgbench, accepted   p99 ms: pgbench, accepted")
        for users in (USERS, 1):
            inserter = Pgbench(pgbench, url, scripts[:users])
            requests = [requests_of(one) for one in people[:users]]
            rounds: dict[int, list[tuple[Load, Load]]] = {count: [] for count in CALLERS}
            emptied: dict[int, list[Load]] = {count: [] for count in CALLERS} if users == USERS else {}
            for _ in range(ROUNDS):
                for count in CALLERS:
                    inserted = await inserter.insert(clients=count, seconds=SECONDS)
                    accepted = await callers.call(web.port, requests, callers=count, seconds=SECONDS)
                    rounds[count].append((inserted, accepted))
                    if emptied:
                        emptied[count].append(await callers.call(least.port, requests, callers=count, seconds=SECONDS))
            for count, pairs in rounds.items():
                if report(users, count, pairs) < FLOORS[count]:
                    under.append(f"{users} users, {count} callers: under the floor")
            for count, loads in emptied.items():
                rate, p50 = _median(loads, lambda load: load.rate), _median(loads, lambda load: load.percentile(50))
                print(f"an empty route, {count:2} callers: {rate:.0f} a second, p50 {p50:.2f} ms", flush=True)
    return under


async def while_sending(folder: Path) -> list[str]:
    """Accepting while others are sent, against accepting alone."""
    under = []
    async with (
        serve(folder) as served,
        reach_database(Settings(_env_file=None, data_dir=folder)) as url,
        Database.connect(url) as db,
    ):
        people = await link_accounts(db, served, SENDERS)
        await leave_unknown(db)
        await know(db)
        await put(db, SENDERS, 2, due="since")  # the first asks for an address and for keys
        await until(db, ALL_SENT)
        port = int(served.web.rpartition(":")[2])
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        requests = [requests_of(one, scheduledTime=tomorrow) for one in people[:USERS]]
        rounds: dict[int, list[Both]] = {count: [] for count in CALLERS_WHILE_SENDING}
        for _ in range(ROUNDS):
            for count in CALLERS_WHILE_SENDING:
                alone = await callers.call(port, requests, callers=count, seconds=SENDING_SECONDS)
                each = int(SENT_A_SECOND * SENDING_SECONDS / SENDERS)
                due = f"since + random() * interval '{SENDING_SECONDS} s'"
                since = await put(db, SENDERS, each, due=due)
                await asyncio.sleep(STARTS_IN.total_seconds())
                meanwhile = await callers.call(port, requests, callers=count, seconds=SENDING_SECONDS)
                async with db.connection() as connection:
                    sent = await connection.fetchval(
                        "SELECT count(*) FILTER (WHERE sent_at IS NOT NULL) / count(*)::float8 FROM message"
                        " WHERE due BETWEEN $1 AND now()",
                        since,
                    )
                await until(db, ALL_SENT)
                rounds[count].append(Both(alone, meanwhile, sent))
    print(
        f"callers   accepted/s: alone, while {SENT_A_SECOND} a second are sent  ratio"
        "   p50 ms: alone, meanwhile  sent of due"
    )
    for count, found in rounds.items():
        ratio, sent = (statistics.median(one) for one in zip(*((one.ratio, one.sent) for one in found), strict=True))
        rates = [_median(loads, lambda load: load.rate) for loads in _loads(found)]
        p50 = [_median(loads, lambda load: load.percentile(50)) for loads in _loads(found)]
        print(
            f"{count:7} {rates[0]:18.0f} {rates[1]:34.0f} {ratio:6.2f} {p50[0]:14.2f} {p50[1]:10.2f} {sent:13.2f}",
            flush=True,
        )
        if ratio < FLOOR_WHILE_SENDING:
            under.append(f"{count} callers while others are sent: under the floor")
        if sent < LEAST_SENT:
            under.append(f"{count} callers: others are late meanwhile")
    return under


def _median(loads: Sequence[Load], of: Callable[[Load], float]) -> float:
    return statistics.median(map(of, loads))


def _loads(found: Sequence[Both]) -> tuple[list[Load], list[Load]]:
    return [one.alone for one in found], [one.meanwhile for one in found]


def _made(folder: Path) -> Path:
    """A new folder, which PostgreSQL's user can enter."""
    folder.mkdir(mode=0o711)
    return folder


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def report(users: int, count: int, pairs: Sequence[tuple[Load, Load]]) -> float:
    rates = [statistics.median(pair[side].rate for pair in pairs) for side in (0, 1)]
    p50 = [statistics.median(pair[side].percentile(50) for pair in pairs) for side in (0, 1)]
    p99 = [statistics.median(pair[side].percentile(99) for pair in pairs) for side in (0, 1)]
    ratio = statistics.median(accepted.rate / inserted.rate for inserted, accepted in pairs)
    print(
        f"{users:5} {count:7} {rates[0]:11.0f} {rates[1]:11.0f} {ratio:6.2f}"
        f" {p50[0]:16.2f} {p50[1]:9.2f} {p99[0]:17.1f} {p99[1]:9.1f}",
        flush=True,
    )
    return ratio


if __name__ == "__main__":
    command.run(measure, __doc__)
