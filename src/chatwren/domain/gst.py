"""GST: the tax number that Indian businesses give when they register."""

import re

from stdnum.in_ import gstin

from chatwren.domain.errors import Invalid
from chatwren.domain.text import absent

_GST = re.compile(r"[A-Za-z0-9]{1,32}")
_MAX_WRITTEN = 100
_GSTIN_LENGTH = 15


def parse_gst(value: object, *, field: str = "gst") -> tuple[str, str | None]:
    """The number as it is stored, and a warning if it looks mistyped.

    Any 1 to 32 letters and digits are accepted: only a full GSTIN has 15 characters and a check digit. One that fails
    its check is stored all the same, since the user knows the number better than a rule does.

    Returns:
        The number in upper case, "" when absent; a sentence for the user, or None.

    Raises:
        Invalid: anything but 1 to 32 letters (A to Z) and digits.
    """
    if absent(value):
        return "", None
    given = value.strip() if isinstance(value, str) and len(value) <= _MAX_WRITTEN else ""
    if not _GST.fullmatch(given):
        raise Invalid(f"{field} must be 1 to 32 letters and digits, such as 27AAPFU0939F1ZV.", field=field)
    number = given.upper()
    if len(number) == _GSTIN_LENGTH and not gstin.is_valid(number):
        return number, f"{field} {number} fails the check of a GSTIN; please compare it with your certificate."
    return number, None
