"""Lists as spreadsheets save them, and wordings of many messages: what reaches each phone."""

import json
import re
from typing import Any

import pytest

from tests.e2e.at_phone import BULK, bulk, refusals, refused
from tests.e2e.house import House, Person, a_number

pytestmark = pytest.mark.anyio


async def texts(home: House, sender: Person, number: str) -> list[str]:
    return [one["text"] for one in await home.phones.messages(number, sender=sender.number)]


@pytest.mark.parametrize(
    "file",
    [
        "sep=;\nphoneId;message;name\n{to};Hi {{{{name}}}};Asha\n",
        "\ufeffsep=;\r\nphoneId;message;name\r\n;;\r\n{to};Hi {{{{name}}}};Asha\r\n;;\r\n",
        '"sep=\t"\nphoneId\tmessage\tname\n{to}\tHi {{{{name}}}}\tAsha\n',
        "SEP=|\nphoneId|message|name\n{to}|Hi {{{{name}}}}|Asha\n",
        ",,\nphoneId,message,name\n,,\n \t,,\n{to},Hi {{{{name}}}},Asha\n,,,,,\n",
        '"phoneId";"message";"name"\n"";"";""\n"{to}.0";"Hi {{{{name}}}}";"Asha"\n',
        "PhoneId,Message,name,,\n{to},Hi {{{{name}}}},Asha,,\n",
    ],
)
async def test_a_file_of_a_spreadsheet_is_its_rows(home: House, india: Person, file: str) -> None:
    friend = a_number()
    state = await bulk(india, file.format(to=friend))
    assert (state["total"], state["accepted"]) == (1, 1)
    assert await texts(home, india, friend) == ["Hi Asha"]


async def test_a_row_that_says_that_it_has_no_value_greets_nobody(home: House, india: Person) -> None:
    friend = a_number()
    nothing = ["nan", "NaN", "None", "#N/A", "#N/A N/A", "-nan", "#REF!", "<NA>", "#NV", "null"]
    names = [*nothing, "Nanda", "None of us"]
    rows = "\n".join(f"+{friend},Hi {{{{name}}}},{name}" for name in names)
    state = await bulk(india, f"phoneId,message,name\n{rows}\n")
    assert refusals(state) == dict.fromkeys(range(2, 2 + len(nothing)), "fields.name")
    more = [f"nan,Hello,x\n+{friend},#N/A,x\n+{friend},Hi {{{{name | upper}}}},x\n+{friend},Hi {{{{town}}}},x\n"]
    state = await bulk(india, "phoneId,message,name\n" + more[0])
    assert refusals(state) == {2: "phoneId", 3: "message", 4: "message", 5: "fields.town"}
    objects: list[Any] = [{"name": "nan"}, '{"name": "None"}', {"name": None}]
    lines = "\n".join(json.dumps({"phoneId": f"+{friend}", "message": "Hi {{name}}", "fields": one}) for one in objects)
    state = await bulk(india, lines, kind="application/x-ndjson")
    assert refusals(state) == dict.fromkeys((1, 2, 3), "fields.name")
    assert await texts(home, india, friend) == ["Hi Nanda", "Hi None of us"]


async def test_a_row_with_a_file_does_not_go_without_it(home: House, india: Person) -> None:
    friend = a_number()
    state = await bulk(india, f"phoneId,message,MediaFile\n{friend},Bill,bill.pdf\n{friend},No bill,\n")
    assert refusals(state) == {2: "mediaFile"}
    given = ("https://example.com/bill.pdf", {"url": "https://example.com/bill.pdf"}, None)
    rows = [json.dumps({"phoneId": f"+{friend}", "message": "Bill", "mediaFile": one}) for one in given]
    rows.append(json.dumps({"phoneId": f"+{friend}", "message": "Bill", "mediaFile[url]": given[0]}))
    assert refusals(await bulk(india, "\n".join(rows), kind="application/x-ndjson")) == {
        1: "mediaFile", 2: "mediaFile", 4: "mediaFile",
    }  # fmt: skip
    refused(await india.http.post(BULK, files={"list": ("list.csv", f"phoneId,message\n{friend},x\n")}), "file")
    assert await texts(home, india, friend) == ["No bill", "Bill"]


async def test_the_same_number_twice_is_told_or_skipped(home: House, india: Person) -> None:
    one, other = a_number(), a_number()
    rows = f"phoneId,message\n{one},1\n{other},2\n+{one[:2]} {one[2:7]}-{one[7:]},3\n{one}.0,4\n"
    state = await bulk(india, rows)
    assert state["warnings"][0].startswith("2 rows are to a recipient of a row before")
    assert await texts(home, india, one) == ["1", "3", "4"]
    state = await bulk(india, rows, duplicates="skip")
    assert refusals(state) == {4: "phoneId", 5: "phoneId"}
    assert await texts(home, india, one) == ["1", "3", "4", "1"]
    assert await texts(home, india, other) == ["2", "2"]
    refused(
        await india.http.post(BULK, content=rows, params={"duplicates": "drop"}, headers={"content-type": "text/csv"}),
        "duplicates",
    )


@pytest.mark.parametrize(
    ("settled", "to", "left"),
    [
        ({}, [], {2, 3, 4}),
        ({"numbersAre": "national"}, ["5551991234567"] * 3, set()),
        ({"numbersAre": "international"}, ["51991234567"] * 2, {4}),
    ],
)
async def test_a_list_settles_how_it_writes_numbers(
    home: House, brazil: Person, settled: dict[str, str], to: list[str], left: set[int]
) -> None:
    text = a_number()
    state = await bulk(
        brazil, f"phoneId,message\n51991234567,{text}\n(51) 99123-4567,{text}\n051 99123.4567,{text}\n", **settled
    )
    assert set(refusals(state)) == left
    for number in ("5551991234567", "51991234567"):
        assert (await texts(home, brazil, number)).count(text) == to.count(number)


# --- wordings ---------------------------------------------------------------------------------------------------------

EVERYTHING = {"useSynonyms": True, "addEmojis": True, "shuffleSentences": True}
TOGETHER = [
    ("Free parking behind the house.", "We accept cards. But not Amex."),
    ("Follow us on Instagram. Free parking behind the house.", "We accept cards. Except on Sundays."),
    ("Free wifi for guests. We are open daily from 9 to 6.", "We accept cards. That includes Sundays."),
    ("We deliver on weekdays. Free parking behind the house.", "We accept cards. Not American Express."),
]
"""What may move, and what stays together and last however that does."""
AS_IT_IS = [
    ("Seu pedido ainda não está confirmado.", "Obrigado pela paciência!"),
    ("O seu pedido ainda não foi enviado.", "Obrigado!"),
    ("Aún no te confirmamos la cita.", "¡Gracias por tu paciencia!"),
    ("No sabemos si tu pedido está en camino.", "¡Gracias!"),
    ("¿Tu pedido ha sido enviado?", "¡Gracias!"),
    ("Si tu pedido ha sido enviado, te avisamos.", "¡Gracias!"),
    ("Your order has been shipped and was returned.", "Thank you for your patience."),
    ("Your order has not been shipped yet.", "Thank you for your patience."),
    ("Has your order been shipped?", "Thank you for asking."),
    ("Nobody has confirmed your booking.", "Thank you for your patience."),
    ("Your order is confirmed only once we receive the payment.", "Thank you!"),
    ("Aapka order abhi confirm nahi hua hai.", "Dhanyavaad!"),
    ("आपका ऑर्डर अभी कन्फर्म नहीं हुआ है।", "धन्यवाद!"),
]
"""A question, a negation or a condition, of which each word stays, without an emoji; and what may be said otherwise."""


async def test_no_wording_of_many_tears_sentences_apart_or_turns_them_round(home: House, india: Person) -> None:
    said = {a_number(): " ".join(one) for one in (*TOGETHER, *AS_IT_IS)}
    rows = [
        json.dumps({"phoneId": f"+{number}", "message": text, "aiModifications": {**EVERYTHING, "seed": str(seed)}})
        for number, text in said.items()
        for seed in range(5)
    ]
    assert refusals(await bulk(india, "\n".join(rows), kind="application/x-ndjson")) == {}
    shown = {
        text: [re.sub(" (?:🙂|😊|☺️)", "", one) for one in await texts(home, india, number)]
        for number, text in said.items()
    }  # without the emojis that fit after any sentence
    assert all(len(one) == 5 for one in shown.values())
    for moves, together in TOGETHER:
        assert all(one.endswith(together) for one in shown[f"{moves} {together}"])
    for first, second in AS_IT_IS:
        for one in shown[f"{first} {second}"]:
            greeting, rest = one.lower().split(first[1:].lower())
            assert len(greeting) == 1 or greeting[:-1].rstrip().endswith((",", "!"))
            assert rest[1].isalpha() or rest[1] == "¡"  # no emoji stands there
    assert sum(len(set(one)) > 1 for one in shown.values()) > len(shown) // 2  # it was varied, then
