"""Accounts and their friends write to each other without pause, and what became of each message is counted."""

import asyncio
import contextlib
import itertools
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from tests.e2e.house import House, Person, a_number
from tests.waiting import until

_AWAY = (OSError, asyncpg.exceptions.PostgresError, asyncpg.exceptions.InterfaceError, httpx.TransportError)
_PAUSE_SECONDS = 0.05
_LAST_MOMENT = timedelta(seconds=1)


@dataclass(slots=True)
class Line:
    """An account and a friend who write to each other.

    Attributes:
        accepted: what the API has accepted to send, in order.
        written: what the friend's phone has written.
        shown: what the friend's phone shows, in the order of first arrival: WhatsApp's id, text, and how often it came.
    """

    person: Person
    friend: str
    accepted: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    shown: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """The texts that the friend's phone shows."""
        return [text for text, _ in self.shown.values()]


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the messages.

    Attributes:
        again: arrivals at phones of what was there already: a message that went again under its id, and is shown once.
        undecryptable: what a phone or the engine could not read at first.
        wrong: what should never be, in words.
    """

    accepted: int
    shown: int
    again: int
    written: int
    stored: int
    undecryptable: int
    wrong: list[str]


class Traffic:
    """Lines under traffic. Made by `flowing`."""

    def __init__(self, home: House, people: Sequence[Person], gap: float) -> None:
        self.lines = [Line(person, a_number()) for person in people]
        self.friends_write = asyncio.Event()
        """Cleared: the friends pause."""
        self.friends_write.set()
        self._home = home
        self._gap = gap
        self._over = False
        self._writing: list[asyncio.Task[None]] = []
        self._unread_before = 0
        self._by_ends = {(line.friend, line.person.number): line for line in self.lines}
        self._breaks: list[datetime] = []  # when the sandbox ended

    async def flows(self, *, seconds: float = 60) -> float:
        """Wait until each line has brought, both ways, something written after this call. The seconds it took."""
        began = time.monotonic()
        marks = [(line, len(line.accepted), len(line.written)) for line in self.lines]

        async def all_do() -> bool:
            if not all(set(line.accepted[sent:]) & set(line.texts) for line, sent, _ in marks):
                return False
            with contextlib.suppress(*_AWAY):
                stored = await self._stored()
                return all(set(line.written[came:]) & stored[line.friend].keys() for line, _, came in marks)
            return False

        await until(all_do, seconds=seconds, what="traffic both ways")
        return time.monotonic() - began

    async def all_stored(self) -> None:
        """Wait until all that the friends have written is stored."""

        async def are() -> bool:
            stored = await self._stored()
            return all(set(line.written) <= stored[line.friend].keys() for line in self.lines)

        await until(are, seconds=60, what="storing what came in")

    async def end(self, *, seconds: float = 60) -> Tally:
        """Write no more, wait until what was written has arrived, and count."""
        self._over = True
        self.friends_write.set()
        await asyncio.wait(self._writing)
        excused = await self._excused()

        async def arrived() -> bool:
            stored = await self._stored()
            return all(
                set(line.accepted) - excused[line.friend] <= set(line.texts)
                and set(line.written) <= stored[line.friend].keys()
                for line in self.lines
            )

        with contextlib.suppress(AssertionError):  # what is missing stands in the tally
            await until(arrived, seconds=seconds)
        return await self._count(excused)

    async def _count(self, excused: dict[str, set[str]]) -> Tally:
        stored = await self._stored()
        wrong: list[str] = []
        for line in self.lines:
            if not self._breaks:  # else the phone has forgotten what it showed before
                listed = await self._home.phones.messages(line.friend, sender=line.person.number)
                line.shown = {one["id"]: (one["text"], one["deliveries"]) for one in listed}
                if line.texts != line.accepted:
                    wrong.append(f"{line.friend} shows, in this order, {line.texts} and not {line.accepted}")
            ids = await self._ids(line)
            for text in line.accepted:
                under = [wa_id for wa_id, (shown, _) in line.shown.items() if shown == text]
                if under != [ids[text]] and not (under == [] and text in excused[line.friend]):
                    wrong.append(f"{text!r} to {line.friend} has the id {ids[text]} and is shown under {under}")
            came = stored[line.friend]
            if came != dict.fromkeys(line.written, 1):
                missing, more = set(line.written) - came.keys(), [text for text, times in came.items() if times > 1]
                wrong.append(f"of {line.friend}, {sorted(missing)} are not stored, and {more} more than once")
        return Tally(
            accepted=sum(len(line.accepted) for line in self.lines),
            shown=sum(len(set(line.texts)) for line in self.lines),
            again=sum(times - 1 for line in self.lines for _, times in line.shown.values()),
            written=sum(len(line.written) for line in self.lines),
            stored=sum(len(texts) for texts in stored.values()),
            undecryptable=await self._undecryptable() - self._unread_before,
            wrong=wrong,
        )

    async def _stored(self) -> dict[str, dict[str, int]]:
        """What is stored of each friend: texts, and how often each."""
        rows = await self._home.sql(
            "SELECT sender_phone, text, count(*) FROM inbound WHERE sender_phone = ANY($1) GROUP BY 1, 2",
            [line.friend for line in self.lines],
        )
        stored: dict[str, dict[str, int]] = defaultdict(dict)
        for friend, text, times in rows:
            stored[friend][text] = times
        return stored

    async def _ids(self, line: Line) -> dict[str, str]:
        rows = await self._home.sql("SELECT text, wa_id FROM message WHERE recipient = $1", line.friend)
        return dict(rows)  # type: ignore[arg-type]

    async def _excused(self) -> dict[str, set[str]]:
        """What a sandbox that was killed may have acknowledged and not shown any more: it keeps nothing on disk."""
        excused: dict[str, set[str]] = defaultdict(set)
        for broke in self._breaks:
            rows = await self._home.sql(
                "SELECT recipient, text FROM message"
                " WHERE recipient = ANY($1) AND status = 'sent' AND sent_at BETWEEN $2 AND $3",
                [line.friend for line in self.lines],
                broke - _LAST_MOMENT,
                broke + _LAST_MOMENT,
            )
            for friend, text in rows:
                excused[friend].add(text)
        return excused

    async def _undecryptable(self) -> int:
        """How often a phone could not read something, which the sandbox counts, or an engine, as workers' logs say."""
        other: list[str] = [one["what"] for one in self._home.said() if one["event"] == "events.other"]
        unread = sum(what.startswith("undecryptable") for what in other)
        return unread + (await self._home.phones.stats())["undecryptable"]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """They write from now on, until `end` or the end of the block."""
        self._unread_before = await self._undecryptable()
        async with asyncio.TaskGroup() as group:  # so that a writer that fails ends the test
            watching = group.create_task(self._watch())
            for line in self.lines:
                self._writing += [group.create_task(self._send(line)), group.create_task(self._write(line))]
            yield
            for task in (watching, *self._writing):
                task.cancel()

    async def _watch(self) -> None:
        """Take down what phones show, until cancelled."""
        watched, left_at = False, datetime.now(UTC)
        while True:
            try:
                async with self._home.phones.watched() as messages:
                    watched = True
                    for line in self.lines:
                        for message in await self._home.phones.messages(line.friend, sender=line.person.number):
                            self._take_down(line, message)
                    async for message in messages:
                        if (ends := (message["phone"], message["from"])) in self._by_ends:
                            self._take_down(self._by_ends[ends], message)
                left_at = datetime.now(UTC)
            except httpx.ConnectError:
                if watched:
                    self._breaks.append(left_at)
                watched = False
            except httpx.TransportError:
                left_at = datetime.now(UTC)
            await asyncio.sleep(_PAUSE_SECONDS)

    def _take_down(self, line: Line, message: dict[str, Any]) -> None:
        _, times = line.shown.get(message["id"], ("", 0))
        line.shown[message["id"]] = message["text"], max(times, message["deliveries"])

    async def _send(self, line: Line) -> None:
        for number in itertools.count():
            if self._over:
                return
            text = f"out {number}"
            await self._accept(line, text)
            line.accepted.append(text)
            await asyncio.sleep(self._gap)

    async def _accept(self, line: Line, text: str) -> None:
        """Have the API accept a message, as a client does that repeats what was not answered."""
        key = secrets.token_hex(8)
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await line.person.http.post(
                    "/api/messages/send",
                    data={"phoneId": f"+{line.friend}", "message": text},
                    headers={"Idempotency-Key": key},
                )
                if answer.is_success:
                    return
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _write(self, line: Line) -> None:
        for number in itertools.count():
            await self.friends_write.wait()
            if self._over:
                return
            text = f"in {number}"
            await self._home.phones.write(line.friend, line.person.number, text)
            line.written.append(text)
            await asyncio.sleep(self._gap)


@contextlib.asynccontextmanager
async def flowing(home: House, people: Sequence[Person], *, gap: float) -> AsyncIterator[Traffic]:
    """Each of these people, whose phones are linked, writes with a friend of their own.

    Args:
        home: the system.
        people: who.
        gap: seconds between two messages of one line in one direction.
    """
    traffic = Traffic(home, people, gap)
    async with traffic.running():
        yield traffic


@contextlib.asynccontextmanager
async def linked(home: House, count: int) -> AsyncIterator[list[Person]]:
    """So many people with linked phones. A worker must be there."""
    async with contextlib.AsyncExitStack() as stack:
        people = [await stack.enter_async_context(home.person(f"p{number}")) for number in range(count)]
        await asyncio.gather(*(person.link() for person in people))
        yield people
