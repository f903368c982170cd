"""Spanish and Portuguese without the accents that people leave out: found as with them, and answered without."""

import pytest

from chatwren.variation import Modifications, vary

pytestmark = pytest.mark.usefixtures("phrases_alone")
SYNONYMS = Modifications(use_synonyms=True)
SEEDS = [str(number) for number in range(30)]


def wordings(text: str) -> set[str]:
    return {vary(text, SYNONYMS, seed=seed).text for seed in SEEDS}


@pytest.mark.parametrize(
    ("written", "bare"),
    [
        ("Su paquete ya está disponible.", "Su paquete ya esta disponible."),
        ("¿Cómo estás? Llámanos al 600 111 222.", "¿Como estas? Llamanos al 600 111 222."),
        (
            "O seu pedido já está disponível, não esqueça de trazer.",
            "O seu pedido ja esta disponivel, nao esqueca de trazer.",
        ),
        ("Alguma dúvida? Você receberá o link.", "Alguma duvida? Voce recebera o link."),
    ],
)
def test_a_text_without_accents_has_the_same_wordings_without_them(written: str, bare: str) -> None:
    folded = str.maketrans("áéíóúãõâêôç", "aeiouaoaeoc")
    assert wordings(bare) == {wording.translate(folded) for wording in wordings(written)}
    assert wordings(bare) != {bare}


def test_a_name_keeps_its_accents_in_a_text_without() -> None:
    assert all(
        "José" in wording and "está" not in wording for wording in wordings("Hola José, su paquete ya esta disponible.")
    )


@pytest.mark.parametrize(
    "text",
    [
        "Toda información de esta lista: hoy paso a verla.",
        "Só a loja tem pão e de R$ 20 o resto.",
        "Él esta lista ya la leyó.",
    ],
)
def test_a_word_that_is_another_without_its_accent_is_not_taken_for_it_where_accents_are_written(text: str) -> None:
    assert wordings(text) == {text}


def test_one_word_without_its_accent_is_said_without_it() -> None:
    assert all(
        "você" not in wording
        for wording in wordings("Vimos que voce não veio à aula. A sua opinião é muito importante.")
    )


def test_pasa_may_be_tu_and_is_not_answered_by_vos() -> None:
    assert any("Vení" in wording for wording in wordings("Tu pedido llegó. Pasá a buscarlo."))
    assert not any("Veni" in wording for wording in wordings("Tu pedido llego. Pasa a buscarlo."))


def test_what_denies_denies_without_accents() -> None:
    assert wordings("Su pedido ningun dia esta listo.") == {"Su pedido ningun dia esta listo."}


def test_what_is_in_the_in_portuguese_denies_nothing() -> None:
    assert any("na nossa loja" in wording for wording in wordings("Oi! O pedido está em nossa loja, no balcão."))


def test_a_text_that_needs_no_accent_is_answered_with_them() -> None:
    assert any("Olá" in wording for wording in wordings("Oi Carlos, seu pedido saiu para entrega."))
    assert not any("Ola" in wording for wording in wordings("Oi Carlos, seu pedido saiu para entrega."))
