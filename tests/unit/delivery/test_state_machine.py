"""Messages' lives under random events, in PostgreSQL: what docs/state_machine.md says holds after every one of them.

Events: users accept, cancel, change and retry; workers claim, report, fall silent, take over and let go; receipts come
in any order and more than once; time passes, and messages expire. What a worker reports may come late, when the account
is another's already.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from chatwren.channels.engine.refusals import refused
from chatwren.channels.results import NotSent, NotSentReason, Refused, Sent, Unknown
from chatwren.delivery.outcomes import decide
from chatwren.domain import reasons
from chatwren.domain.facts import Receipt
from chatwren.domain.ids import uuid7, whatsapp_message_id
from chatwren.domain.messages import NEXT, OUTCOME_UNKNOWN, Event, Status
from chatwren.store import facts, lateness, messages
from chatwren.store.database import Database
from chatwren.store.fenced import leases
from chatwren.store.fenced import messages as fenced_messages
from chatwren.store.fenced.going_on import go_on, is_usual
from chatwren.store.fenced.messages import Claimed, Outcome
from tests.rows import Rows
from tests.unit.delivery.test_claim import TERMS, claim

pytestmark = pytest.mark.anyio

T = TypeVar("T")

MAX_RESENDS = 1
LANES = ("urgent", "normal", "cold", "bulk")
FRIENDS = ("4915200001", "4915200002")
RESULTS = (
    Sent(""),
    *(NotSent(reason) for reason in NotSentReason),
    Unknown(),
    *(refused(code, "", to_group=False) for code in (429, 463, 479, 500)),
    Refused(reasons.MEDIA_MISSING),
)
REPORTED = {
    Status.SENT: (Event.ACKNOWLEDGED,),
    Status.FAILED: (Event.REJECTED, Event.GIVEN_UP),
    Status.WAITING: (Event.NEVER_LEFT,),
    Status.SENDING: (),
}
ANY = st.integers(0, 99)


@dataclass(frozen=True, slots=True)
class World:
    """What the tables hold at one moment. `resting`: until when recipients back off, with their accounts."""

    now: datetime
    messages: dict[UUID, asyncpg.Record]
    accounts: dict[UUID, asyncpg.Record]
    leases: dict[UUID, asyncpg.Record]
    resting: dict[tuple[UUID, str], datetime]

    def is_past_its_deadline(self, message: asyncpg.Record) -> bool:
        """Whether no attempt may begin any more."""
        return message["expires_at"] is not None and bool(message["expires_at"] <= self.now)

    def may_go(self, account: UUID) -> list[asyncpg.Record]:
        """The messages of an account that are due, in the order in which they have to go."""
        cold_until = self.accounts[account]["cold_until"]
        no_strangers = cold_until is not None and cold_until > self.now
        due = [
            one
            for one in self.messages.values()
            if one["account_id"] == account
            and one["status"] == Status.WAITING
            and one["due"] <= self.now
            and not self.is_past_its_deadline(one)
            and not (no_strangers and one["lane"] == "cold")
            and self.resting.get((account, one["recipient"]), self.now) <= self.now
        ]
        return sorted(due, key=lambda one: (LANES.index(one["lane"]), one["due"], one["id"]))


@dataclass(frozen=True, slots=True)
class Attempt:
    """A message that a worker is sending, or was when it lost the account: its report is still to come."""

    worker: UUID
    claimed: Claimed


class Lives(RuleBasedStateMachine):
    """One account or two, and workers that come and go."""

    def __init__(self, db: Database, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        super().__init__()
        self.db = db
        self.run = run
        self.rows = Rows(db)
        self.workers: list[UUID] = []
        self.attempts: list[Attempt] = []
        self.may_be_out: dict[UUID, int] = {}  # how many attempts of a message did not certainly stay here
        self.seen: World

    @initialize(
        names=st.sampled_from([("alice",), ("alice", "bob")]),
        beginning=st.sampled_from(["quiet", "given up", "two are sending"]),
    )
    def begin(self, names: Sequence[str], beginning: str) -> None:
        """Half of what can go wrong comes after something has: some begin there."""
        for name in names:
            account = self.run(self.rows.account(name))
            for number in range(2):
                self.run(self.rows.message(account, to=pick(FRIENDS, number), lane=pick(LANES, number // 2)))
        self.workers = [self.run(self.rows.worker()) for _ in range(2)]
        self.seen = self.look()
        self.own(0)
        if beginning == "given up":
            for _ in range(MAX_RESENDS + 1):
                self.claim(0)
                while self.attempts:
                    self.report(0, Unknown())
                self.time_passes(4)
        if beginning == "two are sending":
            self.claim(0)
            self.die(0, 0, claims=True)

    def teardown(self) -> None:
        """In the end nothing is stuck: with an owner that is acknowledged, all goes out."""
        try:
            if self.workers:
                self.attempts.clear()
                for _ in self.workers[:]:
                    self.die(0, 0, claims=False)
                for _ in self.seen.messages:
                    self.time_passes(10_000)
                    self.claim(0)
                    while self.attempts:
                        self.report(0, Sent(""))
                left = [one for one in self.seen.messages.values() if one["status"] in ("waiting", "sending")]
                assert left == []
        finally:
            self.run(self.rows.one("DELETE FROM app_user"))
            self.run(self.rows.one("DELETE FROM worker"))

    # --- users --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.seen.messages) < 6)
    @rule(
        account=ANY,
        to=st.sampled_from(FRIENDS),
        lane=st.sampled_from(["urgent", "normal", "bulk"]),
        due_in=st.sampled_from([-9, -1, 5, 60]),
        lasts=st.sampled_from([None, 18, 300, 5001]),
    )
    def accept(self, account: int, to: str, lane: str, due_in: int, lasts: int | None) -> None:
        whose = pick(list(self.seen.accounts.values()), account)
        row = messages.NewRow(
            id=uuid7(),
            user_id=whose["user_id"],
            account_id=whose["id"],
            prefix="msg",
            recipient_kind="phone",
            recipient=to,
            text="words",
            original="words",
            modifications=None,
            changes=None,
            media_id=None,
            lane=lane,
            accepted_at=self.seen.now,
            due=self.seen.now + timedelta(seconds=due_in),
            expires_at=None if lasts is None else self.seen.now + timedelta(seconds=due_in + lasts),
            wa_id=whatsapp_message_id(),
        )

        async def insert() -> None:
            async with self.db.connection() as connection:
                await messages.insert(connection, [row])

        self.do(insert())

    @precondition(lambda self: self.seen.messages)
    @rule(
        message=ANY,
        what=st.sampled_from(["cancel", "change", "retry"]),
        due_in=st.sampled_from([None, -5, 5]),
        text=st.sampled_from([None, "other words"]),
        lasts=st.sampled_from([None, 0, 300]),
    )
    def ask(self, message: int, what: str, due_in: int | None, text: str | None, lasts: int | None) -> None:
        """A user wants something done to a message."""
        row = pick(list(self.seen.messages.values()), message)
        due = None if due_in is None else self.seen.now + timedelta(seconds=due_in)
        expires_at = (due or row["due"]) + timedelta(seconds=lasts) if lasts else None
        unlimited = lasts == 0 or (expires_at is None and due is not None)  # what it had may lie before the new time

        async def ask() -> bool:
            async with self.db.connection() as connection:
                match what:
                    case "cancel":
                        return await messages.cancel(connection, row["user_id"], row["id"])
                    case "retry":
                        return await messages.retry(connection, row["user_id"], row["id"])
                return await messages.change(
                    connection,
                    row["user_id"],
                    row["id"],
                    due=due,
                    expires_at=expires_at,
                    forget_expiry=unlimited,
                    text=text,
                    original=text,
                )

        done = self.do(ask(), *{"cancel": (Event.CANCEL,), "retry": (Event.RETRY,)}.get(what, ()))
        assert done == (row["status"] == Status.FAILED if what == "retry" else may_be_changed(row))

    # --- workers ------------------------------------------------------------------------------------------------------

    @rule(first=ANY)
    def claim(self, first: int) -> None:
        """The workers claim in turn, each for every account of which it is not sending anything already."""
        for number in range(len(self.workers)):
            self.claim_by(pick(self.workers, first + number))

    def claim_by(self, who: UUID) -> None:
        before = self.seen
        busy = {one.claimed.account for one in self.attempts if self.is_owners(one)}
        claimed: list[Claimed] = self.do(claim(self.db, who, *(before.accounts.keys() - busy)), Event.CLAIM)
        self.taken(who, before, busy, claimed)

    def taken(
        self, who: UUID, before: World, busy: Collection[UUID], claimed: Sequence[Claimed], over: UUID | None = None
    ) -> None:
        """A worker has claimed these. `over`: what was in flight before, and is acknowledged with it."""
        assert len({one.account for one in claimed}) == len(claimed)
        for one in claimed:
            lease, row = before.leases[one.account], before.messages[one.id]
            assert (lease["worker_id"], lease["epoch"]) == (who, one.epoch)
            assert one.account not in busy
            assert (one.wa_id, one.text, one.attempts) == (row["wa_id"], row["text"], row["attempts"] + 1)
            in_flight = [
                other["id"]
                for other in before.messages.values()
                if other["account_id"] == one.account and other["status"] == Status.SENDING and other["id"] != over
            ]
            ahead = in_flight or [other["id"] for other in before.may_go(one.account)]
            assert one.id == (ahead or [one.id])[0], "its order was not kept"
            now = self.seen.messages[one.id]
            assert now["expires_at"] is None or now["claimed_at"] < now["expires_at"], "it began after its deadline"
            soon = before.now + timedelta(seconds=5)  # before which this look at the world was
            assert in_flight or max(row["due"], before.resting.get((one.account, one.recipient), soon)) <= soon
            self.attempts.append(Attempt(who, one))
            self.may_be_out[one.id] = self.may_be_out.get(one.id, 0) + 1

    @precondition(lambda self: self.attempts)
    @rule(attempt=ANY, result=st.sampled_from(RESULTS), goes_on=st.booleans())
    def report(self, attempt: int, result: Any, *, goes_on: bool = False) -> None:
        """Who sent says what became of it; perhaps of an account that it has lost. `goes_on`: it claims the next."""
        one = self.attempts.pop(attempt % len(self.attempts))
        before, is_owners = self.seen, self.is_owners(one)
        self.may_be_out[one.claimed.id] -= stayed_here(result)
        decision = decide(
            result, attempts=one.claimed.attempts, unconfirmed=one.claimed.unconfirmed, max_resends=MAX_RESENDS
        )
        outcome = Outcome(one.claimed.id, one.claimed.account, one.claimed.epoch, decision, first=one.claimed.first)

        goes_on = goes_on and is_usual(outcome)

        async def record() -> Sequence[Claimed]:
            async with self.db.connection() as connection:
                if not goes_on:
                    await fenced_messages.record(connection, one.worker, [outcome])
                    return []
                gone = await go_on(connection, one.worker, [outcome], [outcome.account], TERMS)
                assert not gone.idle or not before.may_go(outcome.account)
                if gone.left:
                    await fenced_messages.record(connection, one.worker, gone.left)
                return gone.taken

        claimed = self.do(record(), *REPORTED[decision.status], *[Event.CLAIM] * goes_on)
        self.taken(one.worker, before, (), claimed, over=outcome.message)
        was, now = before.messages[one.claimed.id], self.seen.messages[one.claimed.id]
        if not decision.fact and not is_owners:
            assert (self.seen.messages, self.seen.accounts) == (before.messages, before.accounts), "a decision counted"
        if decision.status is Status.SENT and may_still_be_acknowledged(was):
            assert now["status"] == Status.SENT, "a fact did not count"
        if was["status"] == Status.SENDING and (is_owners or decision.fact):
            assert now["status"] == decision.status

    @precondition(lambda self: self.attempts)
    @rule(
        attempt=ANY,
        result=st.sampled_from([Sent(""), Unknown(), NotSent(NotSentReason.LOCAL), refused(479, "", to_group=False)]),
    )
    def report_the_usual(self, attempt: int, result: Any) -> None:
        """One of each kind, so that reports are as frequent as claims."""
        self.report(attempt, result, goes_on=True)

    @precondition(lambda self: self.attempts)
    @rule(attempt=ANY)
    def lose_answer(self, attempt: int) -> None:
        """The claim's answer never reached the worker, which therefore sends nothing and says nothing."""
        one = self.attempts.pop(attempt % len(self.attempts))
        self.may_be_out[one.claimed.id] -= 1

    @rule(worker=ANY, heir=ANY, claims=st.booleans())
    def die(self, worker: int, heir: int, *, claims: bool) -> None:
        """A worker is taken for dead, though it may still report; another begins, and somebody takes its accounts."""
        gone = self.workers.pop(worker % len(self.workers))
        self.do(self.rows.one("DELETE FROM worker WHERE id = $1", gone))
        self.workers.append(self.run(self.rows.worker()))
        self.own(heir)
        if claims:
            self.claim_by(pick(self.workers, heir))

    @rule(account=ANY, heir=ANY, claims=st.booleans())
    def let_go(self, account: int, heir: int, *, claims: bool) -> None:
        """An owner gives an account up, in the middle of sending too, and somebody takes it."""
        whose = pick(list(self.seen.accounts), account)
        lease = self.seen.leases[whose]

        async def release() -> None:
            async with self.db.connection() as connection:
                await leases.release(connection, lease["worker_id"], whose, lease["epoch"])

        self.do(release())
        self.own(heir)
        if claims:
            self.claim_by(pick(self.workers, heir))

    def own(self, worker: int) -> None:
        """A worker takes what nobody owns, and connects it."""
        before = self.seen
        self.do(self.rows.own(pick(self.workers, worker)))
        for account, lease in self.seen.leases.items():
            earlier = before.leases.get(account)
            if earlier is not None and earlier["worker_id"] is None:
                assert lease["epoch"] == earlier["epoch"] + 1

    # --- the world ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.seen.messages)
    @rule(receipts=st.lists(st.tuples(ANY, st.booleans(), st.sampled_from([-5, 0, 60])), min_size=1, max_size=4))
    def receive(self, receipts: list[tuple[int, bool, int]]) -> None:
        """Receipts of anything that was ever handed to WhatsApp, with times that need not be plausible."""
        out = [one for one in self.seen.messages.values() if one["attempts"]]
        named = [(pick(out, number), read, ago) for number, read, ago in receipts if out]
        before = self.seen

        async def apply() -> None:
            async with self.db.transaction() as connection:
                told = [
                    Receipt(
                        row["account_id"],
                        row["wa_id"],
                        f"{row['recipient']}@s.whatsapp.net",
                        None,
                        read,
                        datetime.now(UTC) - timedelta(seconds=ago),
                    )
                    for row, read, ago in named
                ]
                await facts.apply_receipts(connection, told)

        self.do(apply(), Event.ACKNOWLEDGED)
        for row, read, _ in named:
            now = self.seen.messages[row["id"]]
            if may_still_be_acknowledged(before.messages[row["id"]]):
                assert now["status"] == Status.SENT
            if now["status"] == Status.SENT:
                assert now["delivered_at"] is not None
                assert now["read_at"] is not None or not read

    @rule(passing=st.sampled_from([3, 400, 4000]))
    def time_passes(self, passing: int) -> None:
        """Every pause is so much shorter, and everything due so much sooner."""

        async def pass_by() -> None:
            async with self.db.transaction() as connection:
                for table, column in (
                    ("message", "due"),
                    ("message", "expires_at"),
                    ("account", "next_at"),
                    ("account", "restricted_until"),
                    ("account", "cold_until"),
                    ("contact", "retry_at"),
                    ("outage", "began_at"),
                ):
                    await connection.execute(
                        f"UPDATE {table} SET {column} = {column} - $1::interval", timedelta(seconds=passing)
                    )

        self.run(pass_by())
        self.seen = self.look()
        for account in self.seen.accounts:
            self.do(self.expire(account), Event.EXPIRE)
        self.do(self.pass_deadlines(), Event.EXPIRE, Event.GIVEN_UP)

    async def expire(self, account: UUID) -> None:
        async with self.db.connection() as connection:
            await lateness.expire(connection, account, timedelta(seconds=1000))

    async def pass_deadlines(self) -> None:
        async with self.db.connection() as connection:
            await lateness.expire_passed(connection)
            await lateness.give_up_passed(connection)

    # --- what holds ---------------------------------------------------------------------------------------------------

    def do(self, step: Coroutine[Any, Any, T], *events: Event) -> T:
        """Do one step, in which only these events can happen to messages; then see that all holds."""
        before = self.seen
        result: T = self.run(step)
        self.seen = self.look()
        for one in self.seen.messages.values():
            was = before.messages.get(one["id"])
            if was is not None:
                came_lawfully(was, one, events)
            if self.may_be_out.get(one["id"]):
                assert one["status"] in (Status.SENDING, Status.SENT, Status.FAILED) or (
                    one["status"] == Status.WAITING and one["unconfirmed"]
                ), "what may be out was let go"
            times = [one[name] for name in ("claimed_at", "sent_at", "delivered_at", "read_at") if one[name]]
            assert times == sorted(times)
        for account in self.seen.accounts.values():
            sending = [
                one["id"]
                for one in self.seen.messages.values()
                if one["account_id"] == account["id"] and one["status"] == Status.SENDING
            ]
            assert sending in ([], [account["in_flight"]]), "more than one in flight"
        for account_id, lease in before.leases.items():
            assert self.seen.leases[account_id]["epoch"] >= lease["epoch"]
        return result

    def look(self) -> World:
        async def look() -> World:
            async with self.db.connection() as connection:
                return World(
                    await connection.fetchval("SELECT now()"),
                    {row["id"]: row for row in await connection.fetch("SELECT * FROM message ORDER BY id")},
                    {row["id"]: row for row in await connection.fetch("SELECT * FROM account ORDER BY id")},
                    {row["account_id"]: row for row in await connection.fetch("SELECT * FROM lease")},
                    {
                        (row["account_id"], row["address"]): row["retry_at"]
                        for row in await connection.fetch("SELECT * FROM contact WHERE retry_at IS NOT NULL")
                    },
                )

        world: World = self.run(look())
        return world

    def is_owners(self, attempt: Attempt) -> bool:
        """Whether it was made under the epoch that the account is owned under now."""
        lease = self.seen.leases[attempt.claimed.account]
        return (lease["worker_id"], lease["epoch"]) == (attempt.worker, attempt.claimed.epoch)


def came_lawfully(was: asyncpg.Record, now: asyncpg.Record, events: Sequence[Event]) -> None:
    """A message may have become this, if only these events can have happened to it."""
    changed = (was["status"], now["status"])
    if was["status"] != now["status"]:
        assert now["status"] in [NEXT.get((Status(was["status"]), event)) for event in events]
    if changed == (Status.FAILED, Status.SENT):
        assert was["error_code"] == OUTCOME_UNKNOWN
    if changed == (Status.WAITING, Status.SENT):
        assert was["unconfirmed"]
    if not may_be_changed(was):
        assert changed[1] not in (Status.CANCELLED, Status.EXPIRED) or changed[0] == changed[1]
        assert changed != (Status.SENDING, Status.WAITING) or not was["unconfirmed"]
        for name in (
            ("text", "recipient") if changed == (Status.FAILED, Status.WAITING) else ("text", "due", "recipient")
        ):
            assert now[name] == was[name], f"{name} of what may be out was changed"
    assert now["wa_id"] == was["wa_id"]
    assert now["epoch"] is None or was["epoch"] is None or now["epoch"] >= was["epoch"]
    for name in ("attempts", "unconfirmed"):
        assert now[name] >= was[name] or changed == (Status.FAILED, Status.WAITING), f"{name} fell"
    for name in ("sent_at", "delivered_at", "read_at"):
        assert was[name] in (None, now[name]), f"{name} was changed"


def may_be_changed(message: asyncpg.Record) -> bool:
    """Whether its user may still cancel or rewrite it: it waits, and certainly is not out."""
    return bool(message["status"] == Status.WAITING and not message["unconfirmed"])


def stayed_here(result: Any) -> bool:
    """Whether the message certainly did not get out in this attempt."""
    return not isinstance(result, Sent | Unknown)


def may_still_be_acknowledged(message: asyncpg.Record) -> bool:
    """Whether a fact that it was sent changes its state."""
    return bool(
        message["status"] == Status.SENDING
        or message["error_code"] == OUTCOME_UNKNOWN
        or (message["status"] == Status.WAITING and message["unconfirmed"])
    )


def pick(things: Sequence[T], number: int) -> T:
    return things[number % len(things)]


async def test_invariants_hold_whatever_happens(db: Database) -> None:
    loop = asyncio.get_running_loop()

    class LivesHere(Lives):
        def __init__(self) -> None:
            super().__init__(db, lambda work: asyncio.run_coroutine_threadsafe(work, loop).result())

    await asyncio.to_thread(
        run_state_machine_as_test,
        LivesHere,
        settings=settings(
            max_examples=80,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=set(Phase) - {Phase.explain},
        ),
    )
