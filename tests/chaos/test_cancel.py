"""A message whose cancel was answered with 200 never arrives."""

import asyncio
from random import Random

import pytest

from tests.chaos.conftest import Scale
from tests.chaos.crowd import Letter, Member, audit, settled
from tests.e2e.house import House

pytestmark = [pytest.mark.anyio, pytest.mark.chaos]

FIRST_MOMENT = 0.001
"""Seconds after the answer to a send in which its cancel begins."""


async def test_what_was_cancelled_never_arrives(
    home: House, crowd: list[Member], scale: Scale, figures: list[str]
) -> None:
    random = Random(5)  # noqa: S311 - moments, not secrets
    letters: dict[Member, list[Letter]] = {member: [] for member in crowd}

    async def race(member: Member) -> None:
        for number in range(scale.races // len(crowd)):
            letter = await member.send(f"race {number}")
            letters[member].append(letter)
            await asyncio.sleep(random.uniform(0, FIRST_MOMENT))
            await member.cancel(letter)

    await asyncio.gather(*map(race, crowd))
    await settled(home, seconds=120)
    found = await audit(home, letters)
    fates = [letter.cancelled for sent in letters.values() for letter in sent]
    figures.append(
        f"cancel: {len(fates)} races, {fates.count(True)} cancelled, {fates.count(False)} too late, "
        f"{len(found.cancelled)} cancelled ones arrived, {len(found.missing)} others missing, {len(found.twice)} twice"
    )
    assert found.is_clean(), found
    assert None not in fates
    assert min(fates.count(True), fates.count(False)) > len(fates) / 50, "that was no race"
