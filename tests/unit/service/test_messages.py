"""Messages that were accepted, as their user changes them: new words vary as the old ones did, and all means all."""

import json
from typing import Any
from uuid import UUID

import pytest
from tests.rows import Rows

from chatwren.domain.messages import Filter
from chatwren.service import messages
from chatwren.service.computing import Computing
from chatwren.service.limits import Limits
from chatwren.store.database import Database
from chatwren.variation import MissingField, Modifications, vary

pytestmark = pytest.mark.anyio

SYNONYMS = Modifications(use_synonyms=True)
WORDS = "Hi {{name}}, your parcel is on its way. Please reply to this message. Thank you for shopping with us!"
FAILED = "UPDATE message SET status = 'failed', ended_at = now(), error_code = '', error_message = '', original = $2"


async def retried(rows: Rows, message: UUID) -> None:
    limits = Limits(rows.db)
    await messages.retry(rows.db, rows.users["alice"], message, limits=limits, computing=Computing(limits))


async def rewritten(rows: Rows, message: UUID, modifications: dict[str, Any] | None, words: str) -> Any:
    """The message's row when these are its new words."""
    stored = None if modifications is None else json.dumps(modifications)
    await rows.one("UPDATE message SET modifications = $2::text::jsonb WHERE id = $1", message, stored)
    limits = Limits(rows.db)
    await messages.change(rows.db, rows.users["alice"], message, limits=limits, computing=Computing(limits), text=words)
    return await rows.get(message)


async def test_new_words_vary_as_the_old_ones_did(rows: Rows) -> None:
    account = await rows.account("alice")
    asked = {"use_synonyms": True, "add_emojis": False, "shuffle_sentences": False, "fields": {"name": "Bob"}}
    expected: dict[str, str] = {}
    while len(set(expected.values())) < 3:  # an id is random, and two seeds may have the same words
        message = await rows.message(account)
        seeds = ("7", message.hex, "")
        expected = {seed: vary(WORDS, SYNONYMS, seed=seed, fields={"name": "Bob"}).text for seed in seeds}
    row = await rewritten(rows, message, asked | {"seed": "7"}, WORDS)
    assert (row["text"], row["original"]) == (expected["7"], WORDS)
    assert (await rewritten(rows, message, asked, WORDS))["text"] == expected[message.hex]


async def test_new_words_of_what_did_not_vary_are_kept(rows: Rows) -> None:
    message = await rows.message(await rows.account("alice"))
    words = WORDS.replace("{{name}}", "Bob")
    assert (await rewritten(rows, message, None, words))["text"] == words


async def test_all_are_cancelled_though_not_at_once(db: Database, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_CANCELLED_AT_ONCE", 2)
    account, bobs = await rows.account("alice"), await rows.message(await rows.account("bob"))
    mine = [await rows.message(account) for _ in range(5)]
    await rows.one("UPDATE message SET unconfirmed = 1 WHERE id = $1", mine[2])
    assert await messages.cancel_all(db, Filter(rows.users["alice"])) == 4
    assert [await rows.status(one) for one in (*mine, bobs)] == [
        "cancelled", "cancelled", "waiting", "cancelled", "cancelled", "waiting",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("original", "fields"), [("Hi {{name}}", None), ("Hi {{name}}", {"other": "x"}), ("{{c | upper}}", {"c": "x"})]
)
async def test_what_an_older_release_took_unfilled_is_not_retried(
    rows: Rows, original: str, fields: dict[str, str] | None
) -> None:
    message = await rows.message(await rows.account("alice"))
    stored = None if fields is None else json.dumps({"use_synonyms": False, "fields": fields})
    await rows.one(f"{FAILED}, modifications = $3::text::jsonb WHERE id = $1", message, original, stored)
    with pytest.raises(MissingField):
        await retried(rows, message)
    assert await rows.status(message) == "failed"


@pytest.mark.parametrize("original", [r"Hi \{\{name\}\}", r"Hi \{{name}}", "Hi"])
async def test_braces_that_were_asked_for_are_retried(rows: Rows, original: str) -> None:
    message = await rows.message(await rows.account("alice"))
    await rows.one(f"{FAILED} WHERE id = $1", message, original)
    await retried(rows, message)
    assert await rows.status(message) != "failed"


@pytest.mark.parametrize("words", ["Hi {{name}}", "{{c | upper}}", "`{{name}}`"])
async def test_new_words_with_a_placeholder_that_nothing_fills_are_refused(rows: Rows, words: str) -> None:
    message = await rows.message(await rows.account("alice"))
    with pytest.raises(MissingField):
        await rewritten(rows, message, None, words)
