"""Names of language models: an operator sets one, and callers give it back with what it wrote."""

import re
from typing import Final

MAX_MODEL_NAME: Final = 100
"""Characters."""
_NAME: Final = re.compile(rf"[A-Za-z0-9][\w.:/@+-]{{0,{MAX_MODEL_NAME - 1}}}", re.ASCII)


def is_model_name(name: str) -> bool:
    """Whether it is one, as in llama3.2:3b."""
    return _NAME.fullmatch(name) is not None
