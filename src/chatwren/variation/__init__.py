"""Text variation: the same message in other words, with no fact changed. Text in, text and changes out.

One door, `vary`; beside it `spintax`, which shows all that it may give; before it `bounded`, for texts from outside.
What it does and what it refuses to touch is told in docs/variation.md.
"""

from chatwren.variation.bounds import bounded
from chatwren.variation.model import Change, MissingField, Modifications, Unchanged, Variation, explain
from chatwren.variation.pipeline import TABLE_VERSION, has_braces, literal, vary
from chatwren.variation.rewrites import MOST_REWRITES, Reworded, Rewrite, RewriteRefused, held
from chatwren.variation.spintax import spintax
from chatwren.variation.template import Template

__all__ = [
    "MOST_REWRITES",
    "TABLE_VERSION",
    "Change",
    "MissingField",
    "Modifications",
    "Reworded",
    "Rewrite",
    "RewriteRefused",
    "Template",
    "Unchanged",
    "Variation",
    "bounded",
    "explain",
    "has_braces",
    "held",
    "literal",
    "spintax",
    "vary",
]
