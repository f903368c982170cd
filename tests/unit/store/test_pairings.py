"""Pairings: when one is joined, what its codes show when, and whom a new device may belong to."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.rows import Rows
from tests.unit.delivery.test_claim import claim

from chatwren.domain.messages import OUTCOME_UNKNOWN
from chatwren.domain.pairings import Pairing
from chatwren.service import linking
from chatwren.store import pairings
from chatwren.store.database import Database
from chatwren.store.fenced import pairings as fenced_pairings

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
PHONE = "4915100007777"
JID = f"{PHONE}:3@s.whatsapp.net"


@pytest.fixture
async def mine(rows: Rows) -> UUID:
    """An account of Alice's that was never linked."""
    return await rows.new_account()


async def join(db: Database, account: UUID, phone: str | None = None) -> Pairing:
    async with db.transaction() as connection:
        user = await connection.fetchval("SELECT user_id FROM account WHERE id = $1", account)
        return await linking.start_or_join(connection, account_id=account, user_id=user, phone=phone, allowed=99)


async def get(db: Database, pairing: Pairing) -> Pairing:
    async with db.connection() as connection:
        return await pairings.get(connection, pairing.id)


async def show(db: Database, pairing: Pairing, *lasting: int) -> bool:
    """Codes "z0", "y1", … each for so many seconds."""
    codes = [(f"{'zyxwv'[number]}{number}", seconds * SECOND) for number, seconds in enumerate(lasting)]
    async with db.connection() as connection:
        return await fenced_pairings.show_codes(connection, pairing.id, codes)


async def pass_by(rows: Rows, seconds: float) -> None:
    """As if the codes had been shown so much earlier."""
    await rows.one(
        """
        UPDATE pairing SET codes = (
          SELECT jsonb_agg(jsonb_build_object(
            'text', code->>'text', 'from', (code->>'from')::timestamptz - $1::interval,
            'until', (code->>'until')::timestamptz - $1::interval
          ) ORDER BY number)
          FROM jsonb_array_elements(codes) WITH ORDINALITY AS c (code, number)
        )
        """,
        timedelta(seconds=seconds),
    )


@pytest.mark.parametrize(("left", "joined"), [("1 s", True), ("-1 s", False)])
async def test_a_running_pairing_is_joined_until_its_time_is_over(
    db: Database, rows: Rows, mine: UUID, left: str, *, joined: bool
) -> None:
    first = await join(db, mine)
    assert timedelta(seconds=180) <= first.expires_at - first.now <= timedelta(minutes=5)
    await rows.one(f"UPDATE pairing SET expires_at = now() + interval '{left}'")
    second = await join(db, mine)
    assert (second.id == first.id, second.token == first.token) == (joined, joined)
    assert (await get(db, first)).failure == (None if joined else "timeout")


async def test_a_pairing_without_codes_left_is_not_joined(db: Database, rows: Rows, mine: UUID) -> None:
    first = await join(db, mine)
    assert await show(db, first, 60, 20)
    await pass_by(rows, 61)
    assert (await join(db, mine)).id == first.id
    await pass_by(rows, 20)
    assert (await join(db, mine)).id != first.id


@pytest.mark.parametrize(
    ("before", "after", "joined"),
    [(None, None, True), (None, "1", False), ("1", "1", True), ("1", "2", False), ("1", None, True)],
)
async def test_another_phone_is_asked_anew(
    db: Database, mine: UUID, before: str | None, after: str | None, *, joined: bool
) -> None:
    first = await join(db, mine, before)
    second = await join(db, mine, after)
    assert (second.id == first.id) == joined
    assert second.phone == (before if joined else after)


async def test_each_code_is_shown_in_its_time(db: Database, rows: Rows, mine: UUID) -> None:
    pairing = await join(db, mine)
    assert await show(db, pairing, 60, 20, 20)
    shown = []
    for passing in (0, 59, 2, 20, 20):
        await pass_by(rows, passing)
        code = (await get(db, pairing)).current
        shown.append(code and code.text)
    assert shown == ["z0", "z0", "y1", "x2", None]
    codes = (await get(db, pairing)).codes
    assert [code.text for code in codes] == ["z0", "y1", "x2"]
    assert [code.ends_at - code.starts_at for code in codes] == [60 * SECOND, 20 * SECOND, 20 * SECOND]
    assert [code.starts_at for code in codes[1:]] == [code.ends_at for code in codes[:-1]]


async def test_a_phone_code_lasts_as_long_as_whatsapp_says(db: Database, mine: UUID) -> None:
    pairing = await join(db, mine, PHONE)
    async with db.connection() as connection:
        assert await fenced_pairings.show_phone_code(connection, pairing.id, "ABCD-EFGH", 180 * SECOND)
    found = await get(db, pairing)
    assert found.phone_code == "ABCD-EFGH"
    assert 175 * SECOND < found.expires_at - found.now <= 180 * SECOND


async def test_a_pairing_that_has_ended_shows_and_runs_nothing(db: Database, mine: UUID) -> None:
    pairing = await join(db, mine)
    assert await show(db, pairing, 60)
    async with db.connection() as connection:
        assert await fenced_pairings.get(connection, pairing.id) is not None
        await fenced_pairings.fail(connection, pairing.id, "timeout")
        await fenced_pairings.fail(connection, pairing.id, "another")
        assert await fenced_pairings.get(connection, pairing.id) is None
        assert not await fenced_pairings.show_phone_code(connection, pairing.id, "x", SECOND)
    assert not await show(db, pairing, 60)
    found = await get(db, pairing)
    assert (found.state, found.failure, found.codes, found.phone_code) == ("failed", "timeout", (), None)


async def test_the_state_is_the_newest_pairings_and_linked_is_who_linked(db: Database, rows: Rows, mine: UUID) -> None:
    made = []
    for hours, state in ((3, "linked"), (2, "failed"), (1, "requested")):
        pairing = await join(db, mine)
        made.append(pairing)
        await rows.one(
            "UPDATE pairing SET requested_at = now() - $2 * interval '1 hour', state = $3::pairing_state,"
            " ended_at = CASE WHEN $3 <> 'requested' THEN now() END, failure = CASE WHEN $3 = 'failed' THEN 'x' END"
            " WHERE id = $1",
            pairing.id,
            hours,
            state,
        )
    async with db.connection() as connection:
        latest = await pairings.latest_of_account(connection, mine)
        assert latest is not None
        assert latest.id == made[2].id
        assert await pairings.linked_token(connection, mine) == made[0].token


class Linking:
    """A pairing that its owner runs."""

    def __init__(self, rows: Rows, account: UUID) -> None:
        self.rows = rows
        self.account = account

    async def begin(self) -> "Linking":
        self.worker = await self.rows.worker()
        await self.rows.own(self.worker)
        await self.rows.one("UPDATE account SET connected = false")
        self.pairing = await join(self.rows.db, self.account)
        await self.rows.own(self.worker)
        return self

    async def confirm(self, phone: str = PHONE, *, worker: UUID | None = None) -> str | None:
        async with self.rows.db.transaction() as connection:
            return await fenced_pairings.confirm(
                connection, worker or self.worker, self.pairing.id, f"{phone}:3@x", phone
            )

    async def succeed(self, phone: str = PHONE, *, worker: UUID | None = None) -> str | None:
        async with self.rows.db.transaction() as connection:
            return await fenced_pairings.succeed(
                connection, worker or self.worker, self.pairing.id, jid=f"{phone}:3@x", lid="1@lid", phone=phone
            )

    async def row(self) -> Any:
        async with self.rows.db.connection() as connection:
            return await connection.fetchrow("SELECT *, now() AS now FROM account WHERE id = $1", self.account)


async def test_only_the_owner_links_and_once(rows: Rows, mine: UUID) -> None:
    linking = await Linking(rows, mine).begin()
    former = await rows.worker()
    assert await linking.confirm(worker=former) == "ended"
    assert await linking.succeed(worker=former) == "ended"
    assert (await linking.row())["status"] == "new"
    assert await linking.confirm() is None
    assert await linking.succeed() is None
    row = await linking.row()
    assert (row["status"], row["phone"], row["number_since"]) == ("linked", PHONE, row["status_since"])
    assert await linking.confirm() == "ended"
    assert await linking.succeed() == "ended"


async def test_a_number_that_another_user_has_linked_is_refused_while_it_is(rows: Rows, mine: UUID) -> None:
    linking = await Linking(rows, mine).begin()
    bobs = await rows.account("bob")
    phone = await rows.one("SELECT phone FROM account WHERE id = $1", bobs)
    assert await linking.confirm(phone) == "linked_elsewhere"
    assert await linking.succeed(phone) == "linked_elsewhere"
    assert (await linking.row())["status"] == "new"
    await rows.one("UPDATE account SET status = 'logged_out' WHERE id = $1", bobs)
    assert await linking.confirm(phone) is None
    assert await linking.succeed(phone) is None


@pytest.fixture
async def relinking(rows: Rows) -> Linking:
    """An account with a message in flight, one that waits, groups and an age, which is being linked again."""
    account = await rows.account("alice")
    await rows.one("UPDATE account SET phone = $1", PHONE)
    linking = await Linking(rows, account).begin()
    await rows.one("UPDATE account SET connected = true")
    await rows.message(account, "in flight", due_in=-9)
    await rows.message(account, "waits")
    assert len(await claim(rows.db, linking.worker, account)) == 1
    await rows.one(
        "UPDATE account SET connected = false, number_since = now() - interval '9 days', groups = '[]',"
        " groups_at = now(), logout_wanted_at = now()"
    )
    return linking


async def test_linking_the_same_number_again_changes_nothing_of_its_messages(relinking: Linking) -> None:
    before = await relinking.row()
    assert await relinking.confirm() is None  # linked already, but here
    assert await relinking.succeed() is None
    row = await relinking.row()
    for name in ("number_since", "in_flight", "held_reason", "groups", "groups_at"):
        assert row[name] == before[name], name
    assert row["logout_wanted_at"] is None
    assert await relinking.rows.one("SELECT status::text FROM message WHERE text = 'in flight'") == "sending"


async def test_another_number_holds_what_waits_and_sends_nothing_again(relinking: Linking) -> None:
    assert await relinking.succeed("4915100008888") is None
    row = await relinking.row()
    assert (row["held_reason"], row["in_flight"], row["groups"], row["groups_at"]) == (
        "relinked_other_number",
        None,
        None,
        None,
    )
    assert row["held_since"] is not None
    assert row["number_since"] == row["status_since"]
    found = await relinking.rows.one("SELECT ARRAY[status::text, error_code] FROM message WHERE text = 'in flight'")
    assert found == ["failed", OUTCOME_UNKNOWN]
    assert await relinking.rows.one("SELECT status::text FROM message WHERE text = 'waits'") == "waiting"


async def test_known_devices_are_those_that_are_linked_or_being_linked_or_logged_out(rows: Rows, mine: UUID) -> None:
    linking = await Linking(rows, mine).begin()
    await rows.account("bob")
    await rows.one("UPDATE account SET status = 'logged_out' WHERE id = $1", await rows.account("charlie"))
    jids = [await rows.one("SELECT jid FROM account WHERE user_id = $1", rows.users["bob"])]
    assert await linking.confirm() is None

    async def known() -> set[str]:
        async with rows.db.transaction() as connection:
            return set(await fenced_pairings.known_devices(connection))

    assert await known() == {*jids, f"{PHONE}:3@x"}
    async with rows.db.connection() as connection:
        await fenced_pairings.fail(connection, linking.pairing.id, "timeout")
    assert await known() == {*jids, f"{PHONE}:3@x"}, "it is still to be logged out for its account"
    async with rows.db.connection() as connection:
        await fenced_pairings.end_device(connection, linking.worker, mine, f"{PHONE}:3@x", told=True)
    assert await known() == set(jids)
