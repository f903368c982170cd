"""Nothing that is cheap to ask for and dear to answer ends a process or keeps another tenant waiting.

In the short form one of each kind, by eight tenants at once; with CHATWREN_TEST_HOSTILE=long all, by one as well.
"""

import os

import pytest

from tests.hostile import attacks
from tests.hostile.attackers import UNANSWERED, Attackers
from tests.hostile.bystander import bystander
from tests.hostile.conftest import ATTACKERS, Street
from tests.hostile.room import Room

LONG = os.environ.get("CHATWREN_TEST_HOSTILE", "short") == "long"
SECONDS = 5.0 if LONG else 2.0
"""For so long each attacker begins anew."""
ANSWER_SECONDS = 1.0
SEND_SECONDS = 3.0
TRIES = 3
"""For the times: whatever else the machine does can only add to them."""


@pytest.mark.parametrize("at_once", [1, ATTACKERS] if LONG else [ATTACKERS])
@pytest.mark.parametrize("name", attacks.all_of_them() if LONG else attacks.SHORT)
async def test_it_is_the_attackers_business_alone(street: Street, name: str, at_once: int) -> None:
    web, worker = street.home.web, street.home.workers[0]
    engine = await worker.engine()
    for _ in range(TRIES):
        attackers = await Attackers.ready(name, street.home.url, street.sessions[:at_once])
        room = Room({"web": web.process.pid, "worker": worker.process.pid})
        with room.watched():
            async with bystander(street.home, street.bob, street.friend) as seen:
                answers = await attackers.attack(SECONDS)
        told = f"{name}, {at_once} at once: {seen}; answers {dict(answers)}; {room}"
        print(told)  # noqa: T201 - the figures, which `pytest -rP` shows
        assert not room.burst, told
        assert web.process.returncode is None, told
        assert worker.process.returncode is None, told
        assert await worker.engine() == engine, told
        assert not answers.keys() & {UNANSWERED, "500"}, told
        in_time = seen.p99 <= ANSWER_SECONDS and max(seen.sends) <= SEND_SECONDS
        if in_time:
            break
    assert in_time, told
