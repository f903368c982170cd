"""Where texts are worded: what may take long has its turn in a thread, and holds up nobody's event loop."""

import threading
from typing import Any

import pytest
from tests.rows import Rows

from chatwren.service import wording
from chatwren.service.computing import Computing
from chatwren.service.limits import Limits
from chatwren.variation import Variation, literal


@pytest.mark.parametrize(
    ("text", "here"),
    [
        ("Hello!", True),
        ("{a|b} " * 600, True),  # nobody asked for alternatives: it is not read
        (r"\{\{a\}\}", False),
        (r"\{\{" + "{a|" * 1_300, False),
    ],
    ids=["plain", "long", "escaped braces", "many braces"],
)
async def test_what_is_read_for_placeholders_is_read_elsewhere(
    *, text: str, here: bool, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_in: list[int] = []
    word_now = wording.word_now

    def noting(*asked: Any, **more: Any) -> Variation:
        read_in.append(threading.get_ident())
        return word_now(*asked, **more)

    monkeypatch.setattr(wording, "word_now", noting)
    await rows.account("alice")
    computing = Computing(Limits(rows.db))
    found = await wording.word(computing, rows.users["alice"], text, None, seed="1", fields=None)
    assert (found.text, found.changes) == (literal(text), ())
    assert [one == threading.get_ident() for one in read_in] == [here]
