"""Sentences that change places: never one that another leans on, nor one that leans itself."""

import pytest

from chatwren.variation import Modifications, vary

pytestmark = pytest.mark.usefixtures("phrases_alone")
SHUFFLE = Modifications(shuffle_sentences=True)
SEEDS = [str(number) for number in range(25)]

BOUND = {
    "en": [
        "Free parking behind the house. We accept cards. But not Amex.",
        "We are open daily from 9 to 6. We deliver in Leeds. Except on Mondays.",
        "We accept cards. Free delivery on all orders. Terms apply.",
        "Follow us on Instagram. Free parking behind the house. Only until noon.",
        "Free parking behind the house. Home delivery available. Ask for it at the counter.",
        "This week only! Free shipping on all orders. We accept cards.",
        "What is new? Free parking behind the house. We accept cards.",
        "We accept cards. We are open daily from 9 to 6.\nNot on holidays, though.",
        "Free wi-fi is available. Visit our website for news. The password is there.",
        "We deliver in Leeds. We accept cards. On orders from $20.",
        "There is free parking in the yard. We accept cards. It fills up by ten.",
        "Our store is open until 8 pm. Free parking behind the house. Both until further notice.",
        "We accept cards. Home delivery available. Two more things: bring a bag.",
        "Call us on 0113 496 0000. We are open daily. Between nine and six, that is.",
        "We accept cards. Free parking there. Follow us on Instagram.",
    ],
    "es": [
        "Hola, esta es la casa de Bob. Hay estacionamiento detrás de la casa. Aceptamos tarjetas. Pero no Amex.",
        "Abrimos todos los días. Hacemos envíos a Lima. Menos los lunes.",
        "Hola, esta es la casa de Bob. Aceptamos tarjetas. Envío gratis en la tienda. Aplican restricciones.",
        "Síguenos en Instagram. Envío gratis esta semana. No te lo pierdas.",
        "¡Solo esta semana! Envío gratis en la tienda. Aceptamos tarjetas.",
        "¿Qué hay de nuevo? Tenemos wifi en la tienda. Aceptamos tarjetas.",
        "Aceptamos tarjetas. Abrimos todos los días.\nExcepto los feriados.",
        "Contamos con estacionamiento. Tenemos wifi en la tienda. La clave está en la barra.",
        "Hola, esta es la casa de Bob. Hacemos envíos a Lima. Aceptamos tarjetas. A partir de 20 soles.",
        "Aceptamos tarjetas. Hay estacionamiento en el patio. Se llena a las diez.",
        "Atendemos todos los días. Hay aparcamiento en el patio. Ambos hasta nuevo aviso.",
        "Envío gratis en la tienda. Aceptamos tarjetas. Solo Visa.",
    ],
    "pt": [
        "Temos estacionamento atrás da loja. Aceitamos cartões. Mas não Amex.",
        "Abrimos todos os dias. Entregamos no centro. Menos às segundas.",
        "Oi, esta é a casa da Alice e do Bob. Aceitamos cartões. Frete grátis na loja. Consulte condições.",
        "Siga a gente no Instagram. Frete grátis esta semana. Não perca.",
        "Só esta semana! Frete grátis na loja. Aceitamos cartões.",
        "Qual é a novidade? Temos wi-fi na loja. Aceitamos cartões.",
        "Aceitamos cartões. Abrimos todos os dias.\nExceto nos feriados.",
        "Temos estacionamento na loja. Temos wi-fi para os clientes. A senha está no balcão.",
        "Oi, esta é a casa da Alice e do Bob. Fazemos entregas no centro. Aceitamos cartões. A partir de 20 reais.",
        "Aceitamos cartões. Há estacionamento no pátio. Lota às dez.",
        "Atendemos todos os dias. Há estacionamento no pátio. Ambos até novo aviso.",
        "Oi, esta é a casa da Alice e do Bob. Frete grátis na loja. Aceitamos cartões. Apenas Visa.",
    ],
    "hi": [
        "मुफ़्त डिलीवरी आज है। पार्किंग पीछे उपलब्ध है। पर रात में नहीं।",
        "हम कार्ड स्वीकार करते हैं। मुफ़्त डिलीवरी सबके लिए। शर्तें लागू।",
        "हमारी दुकान सुबह से खुली रहती है। होम डिलीवरी उपलब्ध है। सोमवार को छोड़कर।",
        "हमें इंस्टाग्राम पर फ़ॉलो करें। होम डिलीवरी उपलब्ध है। सिर्फ़ शहर में।",
        "सिर्फ़ इस हफ़्ते! मुफ़्त डिलीवरी सबके लिए। हम कार्ड स्वीकार करते हैं।",
        "नया क्या है? पार्किंग पीछे उपलब्ध है। हम कार्ड स्वीकार करते हैं।",
        "हम कार्ड स्वीकार करते हैं। पार्किंग पीछे उपलब्ध है। वह दस बजे भर जाती है।",
        "हम कार्ड स्वीकार करते हैं। होम डिलीवरी उपलब्ध है।\nलेकिन गाँव में नहीं।",
        "होम डिलीवरी उपलब्ध है। हम कार्ड स्वीकार करते हैं। अमेक्स को छोड़कर।",
        "पार्किंग पीछे उपलब्ध है। हम रोज़ सुबह से खुले रहते हैं। दोनों अगली सूचना तक।",
        "मुफ़्त डिलीवरी सबके लिए। हमारी वेबसाइट पर जाएँ। कोड वहाँ लिखा है।",
    ],
    "hinglish": [
        "Parking free hai ghar ke peeche. Home delivery hai. Lekin Sunday ko nahi.",
        "Home delivery available hai. Free delivery sabhi ke liye hai. T&C apply.",
        "Hum subah se khule hain. Home delivery available hai. Monday ko chhod kar.",
        "Humein Instagram par follow karein. Home delivery hai. Sirf sheher mein.",
        "Sirf is hafte! Free delivery sabhi ke liye hai. Cash on delivery available hai.",
        "Naya kya hai? Parking free hai ghar ke peeche. Home delivery hai.",
        "Home delivery hai. Parking free hai ghar ke peeche. Woh das baje bhar jaati hai.",
        "Home delivery hai. Cash on delivery available hai.\nPar gaon mein nahi.",
        "Free delivery sabhi ke liye hai. Home delivery hai. Sirf bade order par.",
        "Cash on delivery available hai. Home delivery hai. Dono agli soochna tak.",
        "Home delivery hai. Apne doston ko batayein. Unke liye bhi hai.",
    ],
}


@pytest.mark.parametrize("text", [pytest.param(text, id=f"{code}-{text}") for code, ts in BOUND.items() for text in ts])
def test_what_another_sentence_leans_on_stays_before_it(text: str) -> None:
    assert {vary(text, SHUFFLE, seed=seed).text for seed in SEEDS} == {text}


@pytest.mark.parametrize(
    "text",
    [
        "Come in any time. We are open daily from 9 to 6. Free parking behind the house.",
        "Free parking behind the house. We accept cards. Thank you!",
        "Hi Alice! We accept cards. Free parking behind the house.",
        "Hola, pasa cuando quieras. Aceptamos tarjetas. Abrimos todos los días. ¡Gracias!",
        "Venha quando quiser, a loja é sua. Aceitamos cartões. Abrimos todos os dias. Obrigado!",
        "हम कार्ड स्वीकार करते हैं। पार्किंग पीछे उपलब्ध है। धन्यवाद!",
        "Home delivery available hai. Parking free hai ghar ke peeche. Dhanyavaad!",
    ],
)
def test_sentences_that_stand_alone_change_places_at_the_end_and_before_thanks(text: str) -> None:
    assert all(vary(text, SHUFFLE, seed=seed).text != text for seed in SEEDS)


def test_only_the_last_of_a_run_stays_where_something_follows() -> None:
    text = "We accept cards. Free parking behind the house. Follow us on Instagram. But come early."
    assert {vary(text, SHUFFLE, seed=seed).text for seed in SEEDS} == {
        "Free parking behind the house. We accept cards. Follow us on Instagram. But come early."
    }
