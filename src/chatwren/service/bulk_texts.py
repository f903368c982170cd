"""The texts of a bulk: how many rows each is for, and whether there are as many wordings of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from chatwren.domain.errors import Invalid
from chatwren.domain.members import base_name
from chatwren.domain.text import absent
from chatwren.service import wording
from chatwren.service.compose import NewMessage

_MOST_KEPT = 20
"""Different texts whose rows are counted. A bulk has few, unless each row has its own."""
_MOST_WORDED = 3


@dataclass(slots=True)
class _Text:
    line: int
    row: dict[str, Any]
    rows: int = 1


class Texts:
    """Looks at the text of one row after the other, where its words are to vary."""

    def __init__(self) -> None:
        self._texts: dict[bytes, _Text] = {}

    def look(self, line: int, row: dict[str, Any]) -> None:
        """Note a row's text, and what may be done to it."""
        asked = {
            name: value for name, value in row.items() if base_name(name) == "aiModifications" and not absent(value)
        }
        text = row.get("message")
        if not asked or not isinstance(text, str):
            return
        key = sha256(
            "\0".join((text, *(f"{name}={asked[name]}" for name in sorted(asked)))).encode(errors="replace")
        ).digest()
        if found := self._texts.get(key):
            found.rows += 1
        elif len(self._texts) < _MOST_KEPT:
            self._texts[key] = _Text(line, dict(row))

    def warnings(self, message_of: Callable[[str], NewMessage]) -> list[str]:
        """Which texts have fewer wordings than rows. Takes some milliseconds for each.

        Args:
            message_of: the message that a row, a JSON object as text, asks for; raises Invalid.
        """
        told = []
        for one in sorted(self._texts.values(), key=lambda text: -text.rows)[:_MOST_WORDED]:
            try:
                new = message_of(json.dumps(one.row))
                possible = wording.word_now(
                    new.text, new.modifications, seed="", fields=new.fields, rewrites=new.rewrites
                ).variants_possible
            except (Invalid, ValueError, RecursionError):
                continue  # told when it is the row's turn
            if one.rows > possible:
                wordings = "is 1 wording" if possible == 1 else f"are {possible:,} wordings"
                told.append(
                    f"{one.rows:,} rows have the text of line {one.line}, of which there {wordings}: several "
                    "recipients get the same words. Alternatives of your own, {Hi|Hello}, make more."
                )
        return told
