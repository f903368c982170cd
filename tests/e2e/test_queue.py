"""What the queue promises, through engine and sandbox: bulk, lateness, holding, retrying."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.house import House, Person, a_number
from tests.waiting import until

pytestmark = pytest.mark.anyio


def ahead(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_a_bulk_arrives_each_once_and_refused_rows_say_why(home: House, alice: Person) -> None:
    await alice.link()
    friends = [a_number() for _ in range(20)]
    nobody = a_number()
    await home.phones.set(nobody, registered=False)
    rows = "phoneId,message,name\n" + "".join(f"+{one},Dear {{{{name}}}},friend {one}\n" for one in [*friends, nobody])
    answer = await alice.http.post(
        "/api/messages/bulk", content=rows + "12,Dear {{name}},x\n", headers={"content-type": "text/csv"}
    )
    assert answer.is_success, answer.text
    where = f"/api/messages/bulk/{answer.json()['bulkId']}"

    async def ended() -> Any:
        state = (await alice.http.get(where)).json()
        return state if state["messages"]["sent"] == 20 and state["messages"]["failed"] == 1 else None

    state = await until(ended, seconds=40, what="the end of the bulk")
    assert (state["status"], state["accepted"], state["refused"]) == ("accepted", 21, 1)
    assert state["estimatedLastAt"] is None
    for friend in friends:
        shown = await home.phones.messages(friend, sender=alice.number)
        assert [(one["text"], one["deliveries"]) for one in shown] == [(f"Dear friend {friend}", 1)]


async def test_what_is_too_late_when_the_account_can_send_again_does_not_go(home: House, alice: Person) -> None:
    await alice.link()
    friend = a_number()
    await home.phones.fault("failure", phone=alice.number, code=402, milliseconds=4000)

    async def restricted() -> bool:
        return bool((await alice.status())["health"] == "restricted")

    await until(restricted, what="the restriction")
    late = await alice.send(friend, "your code", expiresAt=ahead(1))
    patient = await alice.send(friend, "your order", expiresAt=ahead(60))
    await alice.until_message(patient, status="sent", seconds=40)
    message = await alice.until_message(late, status="expired")
    assert message["reason"]["code"] == "deadline_passed"
    assert [one["text"] for one in await home.phones.messages(friend)] == ["your order"]


async def test_what_is_held_goes_when_it_is_released(home: House, alice: Person) -> None:
    await alice.link()
    friend = a_number()
    assert (await alice.http.post("/api/whatsapp/hold")).is_success
    held = await alice.send(friend, "not yet")
    assert (await alice.message(held))["reason"]["code"] == "held"
    assert (await alice.http.post("/api/whatsapp/release")).is_success
    await alice.until_message(held, status="sent")
    assert [one["text"] for one in await home.phones.messages(friend)] == ["not yet"]


async def test_what_failed_goes_when_it_is_retried(home: House, alice: Person) -> None:
    await alice.link()
    friend = a_number()
    await home.phones.set(friend, registered=False)
    message_id = await alice.send(friend, "are you there?")
    await alice.until_message(message_id, status="failed")
    await home.phones.set(friend, registered=True)
    assert (await alice.http.post(f"/api/messages/{message_id}/retry")).is_success
    await alice.until_message(message_id, status="sent")
    steps = [one["step"] for one in (await alice.message(message_id))["timeline"]]
    assert steps.index("retried") < steps.index("sent")
