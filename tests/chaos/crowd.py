"""Those who send, and what arrived: counted by bodies at the simulated phones, not by ids."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import httpx

from tests.e2e.house import House, Person
from tests.waiting import until

_AGAIN_SECONDS = 0.1


@dataclass
class Letter:
    """A message that was accepted. `cancelled`: its cancel was answered 200; None: with no answer to rely on."""

    body: str
    lane: str
    id: str
    cancelled: bool | None = False


@dataclass(eq=False)
class Member:
    """A user with one account and one friend, so that the friend's phone shows the order of all that went out."""

    person: Person
    friend: str

    async def send(self, body: str, *, lane: str = "normal") -> Letter:
        """Send, as often as it takes to get an answer: the key makes one message of it."""
        while True:
            try:
                answer = await self.person.http.post(
                    "/api/messages/send",
                    data={"phoneId": f"+{self.friend}", "message": body, "lane": lane},
                    headers={"Idempotency-Key": f"{self.person.number} {body}"},
                )
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                assert answer.is_success, answer.text
                return Letter(body, lane, answer.json()["messageId"])
            await asyncio.sleep(_AGAIN_SECONDS)

    async def cancel(self, letter: Letter) -> None:
        """Cancel once, whatever the answer is."""
        try:
            answer = await self.person.http.delete(f"/api/messages/{letter.id}")
        except httpx.TransportError:
            letter.cancelled = None
            return
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            letter.cancelled = None
            return
        letter.cancelled = answer.is_success
        assert answer.is_success or answer.status_code == httpx.codes.CONFLICT, answer.text


@dataclass
class Audit:
    """What the phones show of letters: bodies that are missing, there twice, out of order, or there though cancelled.

    Attributes:
        arrived: bodies that are there.
        again: arrivals of a message that the phone had already, and did not show again.
    """

    arrived: int = 0
    again: int = 0
    missing: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def add(self, letters: Sequence[Letter], shown: Sequence[Mapping[str, object]], states: Mapping[str, str]) -> None:
        """Count what one phone shows of one sender. `states`: what is stored of each message."""
        mine = {letter.body for letter in letters}
        texts = [str(one["text"]) for one in shown if one["text"] in mine]
        self.arrived += len(set(texts))
        self.again += sum(int(str(one["deliveries"])) - 1 for one in shown if one["text"] in mine)
        self.twice += [text for text, times in Counter(texts).items() if times > 1]
        for letter in letters:
            if letter.cancelled or states[letter.id] == "cancelled":
                self.cancelled += [letter.body] if letter.body in texts else []
            elif letter.body not in texts:
                self.missing.append(letter.body)
        places = {text: place for place, text in reversed(list(enumerate(texts)))}
        for lane in {letter.lane for letter in letters}:
            there = [letter.body for letter in letters if letter.lane == lane and letter.body in places]
            self.disordered += [
                f"{after} before {before}" for before, after in pairwise(there) if places[after] < places[before]
            ]

    def is_clean(self) -> bool:
        """Whether each body is there once, in order, unless it was cancelled."""
        return not (self.missing or self.twice or self.disordered or self.cancelled)


async def settled(home: House, *, seconds: float) -> None:
    """Wait until no message waits or is under way."""

    async def none_left() -> bool:
        rows = await home.sql("SELECT count(*) FROM message WHERE status <= 'sending'")
        return bool(rows[0][0] == 0)

    await until(none_left, seconds=seconds, every=0.5, what="an end of all messages")


async def audit(home: House, letters: Mapping[Member, Sequence[Letter]]) -> Audit:
    """Look at every friend's phone."""
    rows = await home.sql("SELECT id, prefix, status::text FROM message")
    states = {f"{prefix}_{message.hex}": status for message, prefix, status in rows}
    found = Audit()
    for member, sent in letters.items():
        found.add(sent, await home.phones.messages(member.friend, sender=member.person.number), states)
    return found
