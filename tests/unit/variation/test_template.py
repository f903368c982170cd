"""Spintax and placeholders."""

import contextlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatwren.domain.errors import Invalid
from chatwren.variation import MissingField, Modifications, literal, vary

NOTHING = Modifications()


def _texts(text: str, seeds: int = 200, **fields: str) -> Counter[str]:
    return Counter(vary(text, NOTHING, seed=f"msg_{number}", fields=fields).text for number in range(seeds))


def test_spintax_is_one_of_its_alternatives() -> None:
    assert _texts("{Hi|Hello|Hey} Alice").keys() == {"Hi Alice", "Hello Alice", "Hey Alice"}


def test_spintax_nests_and_each_text_is_equally_likely() -> None:
    found = _texts("{a|{b|c}|d{1|2}}", seeds=2000)
    assert found.keys() == {"a", "b", "c", "d1", "d2"}
    assert all(300 < times < 500 for times in found.values())


def test_spintax_is_counted_and_reported() -> None:
    variation = vary("{Hi|Hello} Alice, {it is|it's} ready", NOTHING, seed="1")
    assert variation.variants_possible == 4
    assert [change.rule for change in variation.changes] == ["spintax", "spintax"]
    assert variation.changes[0].before == "{Hi|Hello}"
    assert variation.changes[0].after in {"Hi", "Hello"}


def test_counting_stops_at_a_million() -> None:
    assert vary("{a|b}" * 64, NOTHING, seed="1").variants_possible == 1_000_000


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"\{a\|b\}", "{a|b}"),
        (r"a \| b", "a | b"),
        ("{a|b", "{a|b"),
        ("a|b}", "a|b}"),
        ("}{", "}{"),
        ("{}", "{}"),
        ("{a}", "{a}"),
        ('{"json": {"a": 1}}', '{"json": {"a": 1}}'),
        ("a | b", "a | b"),
        (r"C:\temp\new", r"C:\temp\new"),
        ("`{a|b}`", "`{a|b}`"),
        ("```\nx = {a|b}\n```", "```\nx = {a|b}\n```"),
        ("https://example.com/?q={a|b}#c", "https://example.com/?q={a|b}#c"),
    ],
)
def test_what_is_no_balanced_group_is_plain_text(text: str, plain: str) -> None:
    assert _texts(text, seeds=5).keys() == {plain}


def test_a_link_may_stand_in_an_alternative() -> None:
    found = _texts("{see https://a.example/x|visit https://b.example/y}")
    assert found.keys() == {"see https://a.example/x", "visit https://b.example/y"}


def test_placeholders_are_filled_everywhere() -> None:
    text = "{Hi {{ name }}|Hello {{name}}}, see https://x.example/{{id}} or *{{name}}*"
    assert _texts(text, name="Alice", id="7").keys() == {
        "Hi Alice, see https://x.example/7 or *Alice*",
        "Hello Alice, see https://x.example/7 or *Alice*",
    }


def test_a_value_is_never_read_as_a_template() -> None:
    everything = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
    for value in ("{a|b}", "{{name}}", "Hi there! Thank you.", "\U000f0000"):
        variation = vary("Hi {{name}}, thank you for shopping with us.", everything, seed="1", fields={"name": value})
        assert value in variation.text


@pytest.mark.parametrize("fields", [None, {}, {"nam": "Alice"}])
def test_a_placeholder_without_a_value_is_refused(fields: dict[str, str] | None) -> None:
    with pytest.raises(MissingField, match="name") as caught:
        vary("Hi {Alice|{{name}}}", NOTHING, seed="1", fields=fields)
    assert isinstance(caught.value, Invalid)
    assert caught.value.name == "name"
    assert caught.value.code == "missing_field"
    assert [error.field for error in caught.value.fields] == ["fields.name"]


def test_an_escaped_placeholder_needs_no_value() -> None:
    assert vary(r"Write \{\{name\}\} there", NOTHING, seed="1").text == "Write {{name}} there"


@pytest.mark.parametrize(
    "text", ["{a|" * 20_000 + "}" * 20_000, "{" * 60_000, "{" * 30_000 + "}" * 30_000, "{a|b}" * 13_000]
)
def test_depth_and_number_have_no_limit(text: str) -> None:
    assert vary(text, NOTHING, seed="1").variants_possible >= 1


@given(st.text(alphabet="ab{|}\\ `\n", max_size=60), st.text(max_size=5))
def test_no_template_raises(text: str, seed: str) -> None:
    with contextlib.suppress(MissingField):
        vary(text, NOTHING, seed=seed)


@pytest.mark.parametrize(
    "text", ["```{{coupon}}```", "`{{coupon}}`", "Code: ```{{ coupon }}``` by Sunday", "```a\n{{coupon}}\n{b|c}```"]
)
def test_a_placeholder_in_code_is_filled(text: str) -> None:
    plain = text.replace("{{coupon}}", "SAVE {{10}}").replace("{{ coupon }}", "SAVE {{10}}")
    assert _texts(text, seeds=3, coupon="SAVE {{10}}").keys() == {plain}
    everything = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
    said = f"Thank you for shopping with us! Your coupon is {text}"
    assert vary(said, everything, seed="1", fields={"coupon": "SAVE {{10}}"}).text.endswith(plain)
    with pytest.raises(MissingField, match="coupon"):
        vary(text, NOTHING, seed="1")
    with pytest.raises(MissingField, match="coupon"):
        literal(text)


@pytest.mark.parametrize(
    "odd",
    [
        "{{c | upper}}", "{{c|upper}}", "{{{c}}}", "{{}}", "{{ }}", "{{c, d}}", '{{"c"}}', "{{c()}}", "{{> c}}",
        "{{\nc\n}}", "{{a name of five words}}", "{{customer:name}}", "{{/if}}",
        "{{c}", "{{ c }", "{c}}", "{ first_name }}",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_placeholder_is_refused(odd: str) -> None:
    for text in (f"Hi {odd}", f"`{odd}`", f"```{odd}```", f"https://x.example/{odd}", f"{{Hi|Hello {odd}.}}"):
        for word in (literal, lambda text: vary(text, NOTHING, seed="1", fields={"c": "d"})):
            with pytest.raises(MissingField) as caught:
                word(text)
            assert caught.value.name == odd
            assert [error.field for error in caught.value.fields] == ["message"]


@pytest.mark.parametrize("text", ["Hi {{name", "Hi {{name, it is ready", "{Hi|Hello} {{ name\nBye", "`{{name`"])
def test_a_placeholder_that_does_not_end_is_refused(text: str) -> None:
    for word in (literal, lambda text: vary(text, NOTHING, seed="1", fields={"name": "Alice"})):
        with pytest.raises(MissingField) as caught:
            word(text)
        assert caught.value.name.replace(" ", "") == "{{name"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"Write \{\{name\}\} there", "Write {{name}} there"),
        (r"`\{\{name\}\}`", "`{{name}}`"),
        (r"```\{\{c | upper\}\}```", "```{{c | upper}}```"),
        (r"https://x.example/\{\{id\}\}", "https://x.example/{{id}}"),
        (r"\{{name}}", "{{name}}"),
    ],
)
def test_escaped_braces_are_braces_everywhere(text: str, plain: str) -> None:
    assert vary(text, NOTHING, seed="1").text == plain
    assert literal(text) == plain


@pytest.mark.parametrize("text", ["{a|b}", "{name}", r"\{a\}", '{"a": {"b": 1}}', r"\frac{a}{b}", "a | b"])
def test_a_text_without_double_braces_goes_out_to_the_letter(text: str) -> None:
    assert literal(text) == text


@pytest.mark.parametrize("text", ["{{Hi|Hello} there|Hey}", "{a|{b|c}}", "{{{x}}|{{x}}}", "{{a|b}|{c|d}}"])
def test_alternatives_within_each_other_are_no_placeholder(text: str) -> None:
    assert not any(sign in found for found in _texts(text, seeds=20, x="y") for sign in "{}")


@pytest.mark.parametrize("braced", ["{name}", "{ Name }", "{NAME}"])
@pytest.mark.parametrize("text", ["Hi %s, it is ready", "Hi $%s", "`%s`", "https://x.example/?n=%s", "{Hi %s|Hello}"])
def test_a_fields_name_in_single_braces_is_refused_with_what_to_write(text: str, braced: str) -> None:
    with pytest.raises(MissingField, match="looks like a placeholder") as caught:
        vary(text % braced, NOTHING, seed="1", fields={"name": "Alice"})
    assert caught.value.name == braced
    assert "name" in vary(text % braced, NOTHING, seed="1", fields={"town": "Pune"}).text.lower() or "|" in text


def test_braces_that_name_no_field_or_are_escaped_stay() -> None:
    for text, plain in (("{id} of {{name}}", "{id} of Alice"), (r"\{name\} is {{name}}", "{name} is Alice")):
        assert vary(text, NOTHING, seed="1", fields={"name": "Alice"}).text == plain
