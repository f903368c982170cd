"""Sentences that are no plain statements: rules made for these leave them alone, and no emoji agrees with them."""

import pytest

from chatwren.variation import Modifications, vary

pytestmark = pytest.mark.usefixtures("phrases_alone")
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
SEEDS = [str(number) for number in range(25)]

NO_STATEMENTS = {
    "en": [
        "Your order has been shipped and was returned.",
        "Your parcel has been dispatched but came back to us.",
        "Do you know whether your parcel is on its way?",
        "Please find out whether your order has been confirmed.",
        "None of your parcels is on its way.",
        "If your order is ready for collection, the shop texts you.",
        "Nobody at the shop says that your order is ready for collection.",
        "Once your booking has been confirmed, the hotel writes.",
        "Your order has been shipped, hasn't it?",
        "We doubt that your order has been confirmed.",
        "Neither the bank nor the shop says that the parcel is on the way.",
        "Perhaps the parcel is on its way.",
        "It is not certain that your appointment has been confirmed.",
        "Your parcel is on its way, without its box.",
        "Unless the bank objects, your registration has been approved.",
        "The refund has been processed by mistake.",
        "Your order has been confirmed and then cancelled.",
        "Your order is *not* here, it is wrong that the parcel is on the way.",
        "Which order has been confirmed?",
        "Please find out\nif the parcel is on the way.",
        "Has anyone told you that the order has been shipped?",
        "When your order has been shipped, the shop writes.",
    ],
    "es": [
        "No sabemos si tu pedido está en camino.",
        "Aún no te confirmamos la cita.",
        "¿Sabes si tu pedido está en camino?",
        "Si tu pedido ya está en camino, lo verás en la página.",
        "Nadie dice que tu pedido ya está listo.",
        "Tu pedido ha sido enviado pero fue devuelto.",
        "Tu solicitud ha sido aprobada y luego anulada.",
        "Dudamos que sea cierto que la reserva está confirmada.",
        "Quizás el pedido ya está en camino.",
        "Tu pedido quizás está en camino.",
        "Tampoco recibimos tu mensaje de ayer por la tarde.",
        "Cuando tu mesa está reservada, la casa escribe: tu pedido ya está en camino.",
        "Nunca te recordamos que la oferta acaba.",
        "Sin el pago, la reserva no está confirmada ni el viaje está confirmado.",
        "Ojalá sea verdad que ya están disponibles.",
        "Todavía no hemos revisado tu solicitud ni hemos recibido tu pedido.",
        "¿Por qué dices que la cita está confirmada?",
        "No es cierto que el paquete llegará mañana a la casa.",
        "Si la puerta está cerrada, llámenos al 612 345 678.",
        "¿Tenemos buenas noticias?",
        "No tenemos buenas noticias.",
        "No sabemos si\ntu pedido está en camino.",
    ],
    "pt": [
        "Seu horário ainda não está confirmado.",
        "Não sabemos se o pedido saiu para entrega.",
        "Você sabe: o seu pedido está a caminho?",
        "Se o seu pedido está a caminho, a página do correio mostra.",
        "Ninguém da loja disse que o seu pedido está a caminho.",
        "O pedido saiu para entrega, mas voltou.",
        "Talvez a loja tenha razão e o seu pacote está a caminho.",
        "Nem a mesa nem o seu horário na loja está confirmado.",
        "Quando a consulta está marcada para amanhã, a clínica avisa.",
        "A sua reserva na loja nunca está confirmada.",
        "Duvidamos que seja verdade que o vestido já está pronto.",
        "Sem o pagamento, o pedido está confirmado só no papel.",
        "Já chegou na loja ou não chegou na loja?",
        "A consulta não está marcada para amanhã.",
        "O pacote saiu para entrega e foi devolvido.",
        "Caso o bolo já está pronto, a loja avisa.",
        "Nunca recebemos o seu pagamento na loja.",
        "Será que o pedido foi confirmado?",
        "A compra foi confirmada por engano e a reserva está confirmada.",
        "Não temos certeza de que a aula foi transferida para sexta-feira.",
        "Não sabemos se\no pedido está a caminho.",
    ],
    "hi": [
        "क्या आपका ऑर्डर हमें मिल गया है?",
        "हमें नहीं पता कि सामान भेज दिया गया है।",
        "आपका ऑर्डर हमें मिल गया है, यदि सूची में नाम है।",
        "कमरा बुक हो गया है, अगर होटल लिखता है।",
        "पार्सल भेज दिया गया है लेकिन वापस आ गया है।",
        "शायद आपका पार्सल भेज दिया गया है।",
        "किसी ने नहीं कहा कि टिकट बुक हो गई है।",
        "जब काम पूरा हो गया है तब दुकान बताती है।",
        "आपका ऑर्डर कन्फ़र्म हो गया है, पर वह रद्द हो गया।",
        "बिना भुगतान के कुछ भी बुक हो गया है यह मत समझिए।",
        "क्या सामान आ गया है या रास्ते में है?",
        "काम शुरू हो गया है ताकि दुकान चले।",
        "कौन कहता है कि नई साड़ियाँ आ गई हैं?",
        "यह सच नहीं कि आपका पंजीकरण हो गया है और कोर्स शुरू हो गया है।",
        "क्या हम उनसे संपर्क करें?",
        "अन्यथा आपका सूट तैयार है।",
        "आपको समय बदलना हो या न हो, दुकान खुली है।",
        "आपका केक तैयार है क्या, यह कब पता चलेगा?",
    ],
    "hinglish": [
        "Kya aapka order confirm ho gaya hai?",
        "Hume nahi pata ki order nikal gaya hai.",
        "Agar aapka order ready hai toh dukaan batayegi.",
        "Aapka order nikal gaya hai lekin wapas aa gaya.",
        "Shayad aapka order nikal gaya hai.",
        "Kisi ne nahi kaha ki booking ho gayi hai.",
        "Jab aapka blouse ready hai tab dukaan batati hai.",
        "Kab tak aapka saaman ready hai?",
        "Aapka order confirm ho gaya hai magar cancel ho sakta hai.",
        "Bina payment ke aapki booking ho gayi hai, yeh mat samjhiye.",
        "Yadi payment ho gaya hai toh bank batayega.",
        "Kaun kehta hai ki naye joote aa gaye hain?",
        "Yeh sach nahi ki aapka suit taiyaar hai.",
        "Kya hum kal order karein?",
        "Hume pata nahi ki aapki service ho gayi hai.",
        "Yadi naam list mein hai, aapka cake ready hai.",
        "Aapka account update ho gaya hai ya nahi, kaise pata karoge?",
        "Aapko time change karna ho ya na ho, dukaan khuli hai.",
    ],
}


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=f"{code}-{text}") for code, texts in NO_STATEMENTS.items() for text in texts]
)
def test_no_rule_for_statements_and_no_emoji_in_a_question_a_negation_or_a_condition(text: str) -> None:
    assert {vary(text, EVERYTHING, seed=seed).text for seed in SEEDS} == {text}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Hi Bob, did your parcel arrive?", "en/hi"),
        ("If you have any questions, please contact us.", "en/please-contact-us"),
        ("Thank you for not smoking.", "en/thank-you-for"),
        ("We look forward to seeing you, unless it rains.", "en/look-forward"),
        ("Your parcel is on its way. Will you be at home?", "en/on-its-way"),
        ("Your parcel is on its way. If not, the shop helps.", "en/on-its-way"),
        ("We are happy to announce that nobody pays for parking.", "en/happy-to-announce"),
        ("Te recordamos que la tienda no abre el lunes.", "es/te-recordamos"),
        ("Si tienes alguna duda, aquí estamos.", "es/si-tienes-duda"),
        ("Tu pedido ya está en camino. ¿Estás en casa?", "es/ya-esta-en-camino"),
        ("Lembramos que a loja não abre na segunda.", "pt/lembramos-que"),
        ("Se tiver alguma dúvida, fale com a gente.", "pt/se-tiver-duvida"),
        ("O seu pedido saiu para entrega. Você está em casa?", "pt/saiu-para-entrega"),
        ("अगर कोई सवाल हो तो हमसे संपर्क करें।", "hi/hamse-sampark"),
        ("आपका ऑर्डर हमें मिल गया है। क्या आप घर पर हैं?", "hi/mil-gaya-hai"),
        ("Koi dikkat ho toh humein bata dein.", "hinglish/koi-dikkat"),
        ("Aapka order nikal gaya hai. Kya aap ghar par hain?", "hinglish/nikal-gaya"),
    ],
)
def test_a_rule_that_may_applies_even_there_and_others_in_the_sentence_beside(text: str, rule: str) -> None:
    assert rule in {change.rule for seed in SEEDS for change in vary(text, EVERYTHING, seed=seed).changes}


@pytest.mark.parametrize(
    "text", ["It is *not* true that the parcel is on the way.", "The parcel is on the way, NOT the letter."]
)
def test_what_stands_in_capitals_or_in_bold_is_read(text: str) -> None:
    assert {vary(text, EVERYTHING, seed=seed).text for seed in SEEDS} == {text}


def test_a_question_about_the_service_may_have_its_star() -> None:
    assert vary("How was your visit?", Modifications(add_emojis=True), seed="1").text == "How was your visit? ⭐"
