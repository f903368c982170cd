"""What a template may be: what it can become is bounded before it is made."""

from chatwren.domain.errors import Invalid
from chatwren.variation.template import Template

MAX_SIGNS = 10_000
"""Braces and bars in a text. Each is looked at by itself."""
MAX_GROUPS = 1_000
"""Groups of alternatives in a text: more than a message of 4,096 characters has words."""
MAX_DEPTH = 20
"""Groups of alternatives that stand in each other."""


def bounded(text: str, *, field: str = "message") -> Template:
    """The text as a template, if it is one that a person would write.

    Args:
        text: of at most 65,536 bytes.

    Raises:
        Invalid: it has too many braces, or too many groups of alternatives, or these stand too deep in each other.
    """
    if sum(text.count(sign) for sign in "{|}") > MAX_SIGNS:
        raise Invalid(f"{field} has more than {MAX_SIGNS:,} of the signs {{, | and }}.", field=field)
    template = Template(text)
    if template.groups > MAX_GROUPS:
        raise Invalid(f"{field} has more than {MAX_GROUPS:,} groups of alternatives ({{a|b}}).", field=field)
    if template.depth > MAX_DEPTH:
        raise Invalid(f"{field} has alternatives that stand more than {MAX_DEPTH} deep in each other.", field=field)
    return template
