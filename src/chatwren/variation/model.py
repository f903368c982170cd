"""What goes in and comes out of a variation, and why a text may have been left alone."""

from dataclasses import dataclass
from enum import StrEnum

from chatwren.domain.errors import Invalid

_SHOWN = 60  # characters of what looks like a placeholder


@dataclass(frozen=True, slots=True)
class Modifications:
    """What the caller allows: other wordings, added emojis, sentences that change places."""

    use_synonyms: bool = False
    add_emojis: bool = False
    shuffle_sentences: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One change: the rule that made it, and the words before and after."""

    rule: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Variation:
    """One wording of a text.

    Attributes:
        text: what goes out, spintax resolved and placeholders filled.
        changes: each change in reading order.
        seed: the seed that gives this very text again.
        variants_possible: how many wordings other seeds can give; 1 when there is only this one. Counting stops at a
            million. With spintax: the choices of the spintax times the wordings of the branch that was drawn.
        unchanged_because: a code of `Unchanged` when no modification was made, else None. Spintax and filled
            placeholders are no modifications.
    """

    text: str
    changes: tuple[Change, ...]
    seed: str
    variants_possible: int
    unchanged_because: str | None


class MissingField(Invalid):
    """A placeholder has no value.

    Attributes:
        name: the placeholder's name, without braces.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The text contains {{{{{name}}}}}, but fields has no value for {name}.",
            field=f"fields.{name}",
            code="missing_field",
        )
        self.name = name


class NoPlaceholder(MissingField):
    """What looks like a placeholder is none, so that no field can fill it. `name` holds its braces too."""

    def __init__(self, odd: str) -> None:
        shown = odd if len(odd) <= _SHOWN else f"{odd[:_SHOWN]}…"
        super(MissingField, self).__init__(
            f"The text contains {shown}, which looks like a placeholder and is none: these are {{{{a name}}}} of up to "
            "three words without signs. For braces, write \\{ and \\}.",
            field="message",
            code="missing_field",
        )
        self.name = odd


class Unchanged(StrEnum):
    """Why a text that was to be modified went out as it was. Programs may depend on the codes."""

    NOTHING_ASKED = "nothing_asked"
    ONE_TIME_CODE = "sensitive_one_time_code"
    SAFETY = "sensitive_safety"
    FRAUD = "sensitive_fraud"
    REFUSAL = "sensitive_refusal"
    ACCOUNT = "sensitive_account"
    DEMAND = "sensitive_demand"
    LEGAL = "sensitive_legal"
    MEDICAL = "sensitive_medical"
    CONDOLENCE = "sensitive_condolence"
    COMPLAINT = "sensitive_complaint"
    LIKELY = "sensitive_likely"
    PAYMENT_REMINDER = "sober_payment_reminder"
    APOLOGY = "sober_apology"
    LANGUAGE = "language"
    TOO_LONG = "too_long"
    NOTHING_FITS = "nothing_fits"
    CHECK_FAILED = "check_failed"


_SENTENCES = {
    Unchanged.NOTHING_ASKED: "No modification was asked for.",
    Unchanged.ONE_TIME_CODE: "This reads like a one-time code, and such a text is never changed.",
    Unchanged.SAFETY: "This reads like a warning about safety or allergens, and such a text is never changed.",
    Unchanged.FRAUD: "This reads like a warning about fraud, and such a text is never changed.",
    Unchanged.REFUSAL: "This reads like a refusal or the end of a job, and such a text is never changed.",
    Unchanged.ACCOUNT: "This reads like an account or a cover that is stopped, and such a text is never changed.",
    Unchanged.DEMAND: "This reads like a demand for payment, and such a text is never changed.",
    Unchanged.LEGAL: "This reads like a legal notice, and such a text is never changed.",
    Unchanged.LIKELY: "This reads like a text that people take at its word, and such a text is never changed.",
    Unchanged.MEDICAL: "This reads like medical advice, and such a text is never changed.",
    Unchanged.CONDOLENCE: "This reads like a condolence, and such a text is never changed.",
    Unchanged.COMPLAINT: "This reads like a complaint, and such a text is never changed.",
    Unchanged.PAYMENT_REMINDER: (
        "This reads like a payment reminder: it gets no emoji, its sentences keep their places, and no other wording "
        "fits it."
    ),
    Unchanged.APOLOGY: (
        "This reads like an apology: it gets no emoji, its sentences keep their places, and no other wording fits it."
    ),
    Unchanged.LANGUAGE: "Only English, Hinglish, Hindi, Spanish and Portuguese texts are varied, one at a time.",
    Unchanged.TOO_LONG: "The text is longer than a WhatsApp message can be.",
    Unchanged.NOTHING_FITS: "No wording is known that would keep the meaning.",
    Unchanged.CHECK_FAILED: "The new wording did not pass the check that no fact has changed, so the original is kept.",
}


def explain(code: str) -> str:
    """The sentence that tells a person what a code of `Unchanged` means.

    Raises:
        ValueError: `code` is none of them.
    """
    return _SENTENCES[Unchanged(code)]
