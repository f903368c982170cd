"""One reader of phone numbers, whatever route they come by: none becomes another's without a word."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import Person

URLENCODED = {"content-type": "application/x-www-form-urlencoded"}
TWO = ["+5551991234567", "+51991234567"]


@pytest.fixture
def brazil(alice: Person) -> httpx.Client:
    """Alice's client, with an account in Brazil."""
    alice.link("5511961234567")
    return alice.http


def send(client: httpx.Client, number: object, route: str = "send", **more: Any) -> httpx.Response:
    return client.post(f"/api/messages/{route}", json={"phoneId": number, "message": "Hello!", **more})


def went_to(client: httpx.Client) -> Any:
    return client.get("/api/messages/queue").json()["messages"][0]["to"]


def test_a_number_that_is_one_at_home_and_another_abroad_is_refused_with_both(brazil: httpx.Client) -> None:
    for answer in (
        send(brazil, "(51) 99123-4567"),
        send(brazil, 51991234567),
        brazil.post("/api/messages/send", data={"phoneId": "51991234567.0", "message": "Hello!"}),
        brazil.post("/api/messages/schedule", json={"phoneId": "51991234567", "message": "x", "scheduledTime": None}),
        brazil.get("/api/messages/queue", params={"to": "51991234567"}),
        brazil.post("/api/messages/cancel", json={"to": "51991234567"}),
        brazil.post("/api/whatsapp/paircode", json={"phoneNumber": "51 99123-4567"}),
    ):
        told = answer.json()
        assert answer.status_code == 400
        assert told["suggestions"] == TWO
        assert all(one in told["message"] for one in TWO)
    assert send(brazil, "51991234567").json()["code"] == "ambiguous_number"
    for one in TWO:
        assert send(brazil, one).status_code == 200
        assert went_to(brazil) == one


def test_what_is_missing_is_asked_for_as_the_route_takes_it(brazil: httpx.Client) -> None:
    for route in ("send", "schedule"):
        errors = send(brazil, "", route).json()["errors"]
        assert "or a group's id" in next(one["message"] for one in errors if one["field"] == "phoneId")
    for given in ({}, {"phoneNumber": " "}, {"phoneNumber": None}):
        told = brazil.post("/api/whatsapp/paircode", json=given).json()["message"]
        assert told == "phoneNumber is required: a phone number with country code."


@pytest.mark.parametrize(
    ("written", "to"),
    [
        ("919876543210.0", "+919876543210"),
        ("+44 07911 123456", "+447911123456"),
        ("+919876500007@c.us", "+919876500007"),
        ("tel:+91-98765-00007", "+919876500007"),
        ("whatsapp:+919876500007", "+919876500007"),
        (f"https://wa.me/919876500007?text={'x' * 200}", "+919876500007"),
    ],
)
def test_spellings_of_programs_go_to_whom_they_name(brazil: httpx.Client, written: str, to: str) -> None:
    for answer in (
        send(brazil, written),
        brazil.post("/api/messages/send", data={"phoneId": written, "message": "Hello!"}),
        brazil.post("/api/messages/send", files={"phoneId": (None, written), "message": (None, "Hello!")}),
    ):
        assert answer.status_code == 200, answer.text
        assert went_to(brazil) == to
    assert brazil.get("/api/messages/queue", params={"to": written}).json()["pagination"]["total"] == 3


def test_a_plus_that_was_not_encoded_is_a_plus(brazil: httpx.Client) -> None:
    body = "message=1+%2B+1&phoneId=+51991234567"
    assert brazil.post("/api/messages/send", content=body, headers=URLENCODED).status_code == 200
    (sent,) = brazil.get("/api/messages/queue?to=+51991234567").json()["messages"]
    assert (sent["to"], sent["message"]) == ("+51991234567", "1 + 1")


def test_a_number_in_no_plan_goes_with_a_warning(brazil: httpx.Client) -> None:
    answer = send(brazil, "+9112345")
    assert answer.status_code == 200
    assert "+9112345 is in no country's number plan" in " ".join(answer.json()["warnings"])
    told = " ".join(send(brazil, "+789123456789").json()["warnings"])
    assert "Did you mean +79123456789?" in told
    assert not send(brazil, "+919876543210").json().get("warnings")


@pytest.mark.parametrize("phone", ["9876543210", "51991234567", "919876543210.5"])
def test_who_registers_writes_a_country_code(http: httpx.Client, phone: str) -> None:
    john = {"name": "John", "email": "john@example.com", "username": "john", "password": "securePassword123"}
    answer = http.post("/api/auth/register", json={**john, "phone": phone})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "phone")
    assert http.post("/api/auth/register", json={**john, "phone": "919812345678.0"}).status_code == 200
    assert http.get("/api/users/me").json()["phone"] == "+919812345678"
    code = http.post("/api/whatsapp/paircode", json={"phoneNumber": "9812345678"})  # the user's own country is known
    assert (code.status_code, code.json()["suggestion"]) == (400, "+919812345678")
