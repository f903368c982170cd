"""What a page of the queue costs with 10,000, 100,000 and 1,000,000 messages of one user.

    python bench/listing.py [--check]

Over HTTP, one request after the other, from `chatwren web` as it runs in production: the first page, the first page of
one status, the page in the middle by its number, and the same by cursor. Each page tells the exact total. Printed are
medians, how many times longer it takes with the most messages than with the fewest, and web's memory before and after.
--check: exit 1 when one takes more times longer than its bound.
"""

from pathlib import Path
from uuid import UUID

from chatwren.domain.ids import message_public_id
from chatwren.store.database import Database
from parts import callers, command, system
from parts.system import Person

SIZES = (10_000, 100_000, 1_000_000)
LIMIT = 10
SECONDS = 2.0
BOUNDS = {"first": 3.0, "status": 3.0, "cursor": 3.0}
"""How many times longer a page may take with 100 times as many messages. The middle by number has no bound: PostgreSQL
counts its way there."""


async def fill(db: Database, person: Person, size: int) -> UUID:
    """So many messages: of 20 one failed, one is scheduled, the others were sent. The id of the one in the middle."""
    async with db.transaction() as connection:
        await connection.execute(
            """
            INSERT INTO message (id, user_id, account_id, prefix, recipient_kind, recipient, text, original, due, wa_id,
                                 status, attempts, claimed_at, sent_at, ended_at, error_code)
            SELECT uuidv7(), $1, $2, 'msg', 'phone', '49152' || lpad((n % 500)::text, 8, '0'), 'Hello ' || n,
                   'Hello ' || n, CASE WHEN n % 20 = 0 THEN now() + interval '1 day' ELSE now() END,
                   '3EB0' || upper(left(replace(gen_random_uuid()::text, '-', ''), 18)),
                   (CASE n % 20 WHEN 0 THEN 'waiting' WHEN 1 THEN 'failed' ELSE 'sent' END)::message_status,
                   1, now(), CASE WHEN n % 20 > 1 THEN now() END, CASE WHEN n % 20 = 1 THEN now() END,
                   CASE WHEN n % 20 = 1 THEN 'rejected_479' END
            FROM generate_series(1, $3::integer) AS n
            """,
            person.user,
            person.account,
            size,
            timeout=600,
        )
        middle: UUID = await connection.fetchval(
            "SELECT id FROM message WHERE user_id = $1 ORDER BY id DESC OFFSET $2 LIMIT 1", person.user, size // 2 - 1
        )
    return middle


def request(person: Person, query: str) -> bytes:
    return (
        f"GET /api/messages/queue?limit={LIMIT}&{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {person.cookie}\r\n\r\n"
    ).encode()


async def measure(folder: Path) -> list[str]:
    """Print how it went; which pages take more times longer with the most messages than they may."""
    took: dict[str, list[float]] = {}
    async with system.postgres(folder) as url, Database.connect(url) as db, system.web(url, folder) as web:
        people = await system.sign_up(db, len(SIZES))
        middles = [await fill(db, person, size) for person, size in zip(people, SIZES, strict=True)]
        async with db.connection() as connection:
            await connection.execute("VACUUM ANALYZE", timeout=600)
        await callers.call(web.port, [[request(people[0], "page=1")]], callers=1, seconds=1)
        before = web.memory
        print(f"ms, p50   {'first':>8} {'status':>8} {'middle':>8} {'cursor':>8}")
        for person, size, middle in zip(people, SIZES, middles, strict=True):
            queries = {
                "first": "page=1",
                "status": "status=sent",
                "middle": f"page={size // 2 // LIMIT + 1}",
                "cursor": f"cursor={message_public_id('msg', middle)}",
            }
            for name, query in queries.items():
                load = await callers.call(web.port, [[request(person, query)]], callers=1, seconds=SECONDS)
                took.setdefault(name, []).append(load.percentile(50))
            print(f"{size:9,}" + "".join(f" {times[-1]:8.1f}" for times in took.values()), flush=True)
        after = web.memory
    ratios = {name: times[-1] / times[0] for name, times in took.items()}
    print("times longer" + "".join(f" {ratio:8.1f}" for ratio in ratios.values()))
    print(f"memory of web: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")
    return [f"{name} takes {ratios[name]:.1f} times longer" for name, bound in BOUNDS.items() if ratios[name] > bound]


if __name__ == "__main__":
    command.run(measure, __doc__)
