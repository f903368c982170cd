"""A system in which a stranger attacks Alice, and Bob, another tenant, works."""

import base64
import time
from dataclasses import dataclass
from typing import Any

from tests.e2e.house import House, Person
from tests.waiting import until

PROMPT_SECONDS = 2.0
"""Within which a message to Bob is stored, and one of his sent and read, whatever Alice is sent."""
PATIENCE_SECONDS = 30.0


@dataclass
class Scene:
    """Alice and Bob are linked; Mallory is a stranger who writes to Alice, Charlie one who writes to Bob."""

    home: House
    alice: Person
    bob: Person
    mallory: str
    charlie: str
    asked: int = 0

    async def attack(self, plaintext: bytes, **given: Any) -> None:
        """Have Mallory send Alice these bytes."""
        await self.home.phones.write_raw(self.mallory, self.alice.number, plaintext, **given)

    async def bob_works(self, after: str) -> None:
        """Check that a message to Bob is stored and one of Bob's is sent and read, within PROMPT_SECONDS."""
        self.asked += 1
        said, began = f"no. {self.asked}", time.monotonic()
        await self.home.phones.write(self.charlie, self.bob.number, said)
        sent = await self.bob.send(self.charlie, said)

        async def stored() -> bool:
            return bool(await self.stored(self.bob, said))

        await until(stored, seconds=PATIENCE_SECONDS, what=f"after {after}: that a message to Bob is stored")
        await self.bob.until_message(sent, seconds=PATIENCE_SECONDS, receipt="read")
        took = time.monotonic() - began
        assert took < PROMPT_SECONDS, f"after {after} Bob's messages took {took:.1f} s"

    async def stored(self, person: Person, text: str) -> int:
        """How many messages with this text the person has received."""
        rows = await self.home.sql(
            "SELECT count(*) FROM inbound i JOIN account a ON a.id = i.account_id WHERE a.phone = $1 AND i.text = $2",
            person.number,
            text,
        )
        return int(rows[0][0])

    async def put_aside(self) -> list[tuple[str, str]]:
        """Kind and reason of what was put aside of Alice's account."""
        rows = await self.home.sql(
            "SELECT d.kind, d.reason FROM dead_letter d JOIN account a ON a.id = d.account_id WHERE a.phone = $1"
            " ORDER BY d.id",
            self.alice.number,
        )
        return [(row[0], row[1]) for row in rows]

    def logged(self) -> int:
        """How many bytes all logs have."""
        return sum(log.stat().st_size for log in self.home.folder.glob("*.log"))


def raw(value: bytes) -> dict[str, str]:
    """A text for a simulated phone that no JSON string can hold."""
    return {"base64": base64.b64encode(value).decode()}
