"""Who somebody is: one contact for each person whom a user knows, through whichever account and address."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import pytest
from tests.rows import Rows
from tests.unit.delivery.test_cold import accept, row
from tests.unit.delivery.test_races import until_no_clash

from chatwren.domain.errors import NotFound
from chatwren.domain.facts import Inbound
from chatwren.domain.ids import contact_public_id, whatsapp_message_id
from chatwren.service import contacts as service
from chatwren.service.contacts import Contact
from chatwren.store import contacts, deletions, exports, facts, messages

pytestmark = pytest.mark.anyio

PHONE, OTHER, LID = "4915200001", "4915200002", "77@lid"


@pytest.fixture
async def account(rows: Rows) -> UUID:
    return await rows.account("alice")


def written(
    account: UUID, chat: str, phone: str | None = None, *, name: str | None = "Dora", from_me: bool = False
) -> Inbound:
    return Inbound(
        account, chat, chat, whatsapp_message_id(), phone, phone, name,
        from_me=from_me, is_group=chat.endswith("@g.us"), at=datetime.now(UTC), text="hello", media=None,
    )  # fmt: skip


async def arrive(rows: Rows, *those: Inbound) -> None:
    async with rows.db.transaction() as connection:
        await facts.store_messages(connection, those)


async def answered(rows: Rows, account: UUID, address: str, jid: str) -> None:
    """WhatsApp says where messages to this address go."""
    async with rows.db.connection() as connection:
        await contacts.remember_address(connection, account, address, jid)


async def ids(rows: Rows, name: str = "alice") -> dict[str, UUID]:
    """The user's contacts by alias."""
    async with rows.db.connection() as connection:
        found = await connection.fetch(
            "SELECT value, contact_id FROM contact_alias WHERE user_id = $1", rows.users[name]
        )
    return {one[0]: one[1] for one in found}


async def shown(rows: Rows, contact: UUID, name: str = "alice") -> Contact:
    return await service.get(rows.db, rows.users[name], contact_public_id(contact))


async def merged(rows: Rows) -> int:
    return int(await rows.one("SELECT count(*) FROM merged_contact"))


@pytest.mark.parametrize("lane", ["normal", "urgent", "bulk"])
async def test_whoever_is_written_to_is_a_contact(rows: Rows, account: UUID, lane: str) -> None:
    await accept(rows, account, PHONE, lane=lane)
    made = (await ids(rows))[PHONE]
    assert await shown(rows, made) == Contact(contact_public_id(made), f"+{PHONE}", None)
    before = await rows.one("SELECT array_agg(xmin::text) FROM contact_alias")
    await rows.one("UPDATE contact SET reached_at = now()")
    known = await rows.one("SELECT ctid::text FROM contact")
    await accept(rows, account, PHONE, lane=lane)
    assert await rows.one("SELECT array_agg(xmin::text) FROM contact_alias") == before, "nothing is written"
    assert await rows.one("SELECT ctid::text FROM contact") == known


async def test_two_accounts_of_one_user_know_one_contact(rows: Rows, account: UUID) -> None:
    for one in (account, await rows.account("alice")):
        await accept(rows, one, PHONE)
    assert list(await ids(rows)) == [PHONE]
    assert await rows.one("SELECT count(*) FROM contact") == 2


async def test_charlies_contact_is_another(rows: Rows, account: UUID) -> None:
    await accept(rows, account, PHONE)
    await arrive(rows, written(await rows.account("charlie"), LID, PHONE, name="Dora at Charlie's"))
    mine, charlies = (await ids(rows))[PHONE], (await ids(rows, "charlie"))[PHONE]
    assert mine != charlies
    assert (await shown(rows, mine)).name is None
    for wrong in (contact_public_id(charlies), "cnt_1", mine.hex):
        with pytest.raises(NotFound):
            await service.get(rows.db, rows.users["alice"], wrong)


async def test_a_group_is_no_contact(rows: Rows, account: UUID) -> None:
    await accept(rows, account, "1203@g.us", kind="group")
    await arrive(rows, written(account, "1203@g.us"))
    assert await ids(rows) == {}


@pytest.mark.parametrize("from_me", [False, True])
async def test_whoever_writes_is_a_contact(rows: Rows, account: UUID, *, from_me: bool) -> None:
    await arrive(rows, written(account, f"{PHONE}@s.whatsapp.net", PHONE, from_me=from_me))
    made = (await ids(rows))[PHONE]
    assert await shown(rows, made) == Contact(contact_public_id(made), f"+{PHONE}", None if from_me else "Dora")


async def test_a_number_stands_where_it_is_known_and_a_name_where_it_is_not(rows: Rows, account: UUID) -> None:
    await arrive(rows, written(account, LID))
    made = (await ids(rows))[LID]
    assert await shown(rows, made) == Contact(contact_public_id(made), None, "Dora")
    await arrive(rows, written(account, LID, PHONE, name="Dora D."))
    assert await ids(rows) == {LID: made, PHONE: made}
    assert await shown(rows, made) == Contact(contact_public_id(made), f"+{PHONE}", "Dora D.")


async def test_the_older_id_answers_for_both(rows: Rows, account: UUID) -> None:
    await arrive(rows, written(account, LID, name=None))
    await accept(rows, account, PHONE)
    await accept(rows, account, OTHER)
    before = await ids(rows)
    assert len(set(before.values())) == 3
    await arrive(rows, written(account, LID, PHONE))
    assert await ids(rows) == before | {PHONE: before[LID]}
    await answered(rows, account, OTHER, f"{PHONE}@s.whatsapp.net")
    assert set((await ids(rows)).values()) == {before[LID]}
    assert await merged(rows) == 2
    shown_as = Contact(contact_public_id(before[LID]), f"+{PHONE}", "Dora")
    assert [await shown(rows, one) for one in before.values()] == [shown_as] * 3


async def test_what_turns_out_to_be_one_step_by_step(rows: Rows, account: UUID) -> None:
    """The contact into which another was merged is merged itself."""
    for to in ("1", "2", "3"):
        await accept(rows, account, to)
    before = await ids(rows)
    await answered(rows, account, "3", "2@s.whatsapp.net")
    await answered(rows, account, "2", "1@s.whatsapp.net")
    assert set((await ids(rows)).values()) == {before["1"]}
    assert {(await shown(rows, one)).id for one in before.values()} == {contact_public_id(before["1"])}


async def test_the_number_that_whatsapp_answers_is_the_contacts(rows: Rows, account: UUID) -> None:
    """Brazil: the ninth digit is dialled, and WhatsApp has the number without it."""
    asked, registered = "5511987654321", "551187654321"
    await accept(rows, account, asked)
    await answered(rows, account, asked, f"{registered}@s.whatsapp.net")
    made = await ids(rows)
    assert made[asked] == made[registered]
    assert (await shown(rows, made[asked])).phone == f"+{registered}"
    assert await merged(rows) == 0


async def test_an_answer_of_the_same_number_says_nothing_new(rows: Rows, account: UUID) -> None:
    await accept(rows, account, PHONE)
    before = await ids(rows)
    await answered(rows, account, PHONE, f"{PHONE}@s.whatsapp.net")
    assert await ids(rows) == before
    await answered(rows, account, PHONE, LID)
    assert await ids(rows) == before | {LID: before[PHONE]}


async def test_ids_of_what_arrives_are_in_its_order(rows: Rows, account: UUID) -> None:
    batches = [[written(account, LID) for _ in range(20)] for _ in range(3)]
    for batch in batches:
        await arrive(rows, *batch)
    async with rows.db.connection() as connection:
        stored = [one[0] for one in await connection.fetch("SELECT wa_id FROM inbound ORDER BY id")]
    assert stored == [one.wa_id for batch in batches for one in batch]


async def test_two_accounts_meet_the_same_people_at_once(rows: Rows, account: UUID) -> None:
    other = await rows.account("alice")
    phones = [f"49152{number:05d}" for number in range(200)]

    async def meet(through: UUID, whom: Sequence[str]) -> None:
        async with rows.db.connection() as connection:
            await messages.insert(connection, [row(rows, through, phone) for phone in whom])

    for at in range(0, 200, 10):
        whom = phones[at : at + 10]
        await asyncio.gather(
            until_no_clash(partial(meet, account, whom)),
            until_no_clash(partial(meet, other, whom[::-1])),
        )
    assert sorted(await ids(rows)) == phones
    assert len(set((await ids(rows)).values())) == len(phones)


async def test_merges_beside_each_other_and_beside_accepts(rows: Rows, account: UUID) -> None:
    """Whatever the order, all that is one person's is one contact in the end, and no alias is left behind."""
    other = await rows.account("alice")
    for number in range(30):
        phone, dialled, lid = f"49152{number}", f"491520{number}", f"{number}@lid"
        await asyncio.gather(
            until_no_clash(partial(arrive, rows, written(account, lid))),
            until_no_clash(partial(arrive, rows, written(other, lid, phone))),
            until_no_clash(partial(accept, rows, account, phone)),
            until_no_clash(partial(accept, rows, other, dialled)),
            until_no_clash(partial(answered, rows, account, dialled, lid)),
            until_no_clash(partial(answered, rows, other, dialled, f"{phone}@s.whatsapp.net")),
        )
        found = await ids(rows)
        assert len({found[phone], found[dialled], found[lid]}) == 1, number
    assert len(set((await ids(rows)).values())) == 30
    assert await rows.one("SELECT count(*) FROM contact_alias JOIN merged_contact ON id = contact_id") == 0


async def test_a_merge_waits_for_who_gives_one_of_the_two_another_address(rows: Rows, account: UUID) -> None:
    other = await rows.account("alice")
    for through, phone in ((account, PHONE), (account, OTHER), (other, OTHER)):
        await accept(rows, through, phone)
    async with rows.db.transaction() as giving:
        await contacts.remember_address(giving, account, OTHER, LID)
        merging = asyncio.create_task(answered(rows, other, OTHER, f"{PHONE}@s.whatsapp.net"))
        await rows.until_blocked(merging)
    await merging
    found = await ids(rows)
    assert found[LID] == found[OTHER] == found[PHONE]


async def test_contacts_go_with_their_user_and_are_in_the_export(rows: Rows, account: UUID) -> None:
    await arrive(rows, written(account, LID))
    await accept(rows, account, PHONE)
    await arrive(rows, written(account, LID, PHONE), written(await rows.account("charlie"), LID, PHONE))
    alice = rows.users["alice"]
    async with rows.db.transaction() as connection:
        exported = [one async for one in exports.export(connection, alice)]
    assert {one["value"] for one in exported if one["type"] == "contact_alias"} == {LID, PHONE}
    assert len([one for one in exported if one["type"] == "merged_contact"]) == 1
    async with rows.db.connection() as connection:
        for step in deletions.steps(alice):
            await step(connection)
    assert await ids(rows) == {}
    assert await merged(rows) == 0
    assert set(await ids(rows, "charlie")) == {LID, PHONE}
