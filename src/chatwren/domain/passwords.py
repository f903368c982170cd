"""Whether a new password is one of those that are tried first: common, of a pattern, or what is known of its owner.

The list of common ones is zxcvbn's. Its estimate of strength is not used: on 100 characters of swapped letters it
took 28 s, and this takes a fraction of a millisecond on the longest password.
"""

import re
import runpy
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import distribution
from itertools import pairwise
from typing import Final

from chatwren.domain.errors import Invalid

_FEWEST_CHARACTERS: Final = 5
_SWAPPED: Final = str.maketrans("@4301!$57", "aaeoiisst")
_AROUND: Final = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_LEAST_OF_A_NUMBER: Final = 8


def refuse_common(password: str, *, own: Iterable[str], field: str = "password") -> None:
    """Refuse a password that somebody guesses who tries the usual ones.

    The first call reads the list of common ones, which takes 0.03 s.

    Args:
        password: of at most 256 characters.
        own: the user's name, user name, e-mail address and phone number.

    Raises:
        Invalid: it is one.
    """
    folded = password.casefold()
    if len(set(folded)) < _FEWEST_CHARACTERS or _is_run(folded):
        raise Invalid(f"{field} is too simple: use more than a few characters in a row.", field=field)
    forms = set(_forms(folded))
    if forms & _common():
        raise Invalid(
            f"{field} is one of those that are tried first. Three or four words make a good one.", field=field
        )
    plain = {_plain(form) for form in forms}
    for one in own:
        known = one.casefold()
        words = {_plain(known), _plain(known.partition("@")[0])}
        ends = {form for form in plain if len(form) >= _LEAST_OF_A_NUMBER and form.isdecimal()}
        if words & plain or any(_plain(known).endswith(number) for number in ends):
            raise Invalid(f"{field} must not be what is known of you.", field=field)


@cache
def _common() -> frozenset[str]:
    """The list, read from its file. To import the library is to hold all that its estimate needs, 14 MB, for ever."""
    lists = runpy.run_path(str(distribution("zxcvbn").locate_file("zxcvbn/frequency_lists.py")))
    return frozenset(lists["FREQUENCY_LISTS"]["passwords"])


def _forms(folded: str) -> Iterator[str]:
    """The password, and what it becomes without what people add to a word: repetition, ends, swapped letters."""
    for text in (folded, folded.strip(), _unit(folded), _unit(_AROUND.sub("", folded))):
        for word in (text, _AROUND.sub("", text), text.translate(_SWAPPED)):
            yield word
            yield _AROUND.sub("", word.translate(_SWAPPED))


def _unit(text: str) -> str:
    """What the text repeats; all of it where it repeats nothing."""
    return text[: (text + text).find(text, 1)]


def _plain(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def _is_run(text: str) -> bool:
    """Whether each character is the next after the one before, or each the one before it."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    return steps in ({1}, {-1})
