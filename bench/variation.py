"""What a variation costs.

    PYTHONPATH=. python bench/variation.py [--check]

Every collected message of up to 500 characters is varied with everything switched on, many times over. Then texts that
were written to be slow, with 4,096 characters and with the 65,536 bytes that are taken at most, and every example of a
rule, one after the other. Times are those of the process, so that waiting for busy neighbours does not count; of the
slow ones the least of three is taken. --check: exit 1 when one is over its bound.
"""

import json
import re
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.unit.variation.pathological import BEFORE, UNITS, repeated

from chatwren.domain.errors import Invalid
from chatwren.domain.text import MAX_MESSAGE_BYTES
from chatwren.variation import Modifications, bounded, tables, vary

MESSAGES = Path(__file__).parent.parent / "tests" / "unit" / "variation"
USUAL = 500  # characters
ROUNDS = 20
WHOLE = 4_096  # characters of the longest message
MOST_USUAL, MOST_WHOLE, MOST_LONGEST = (
    2.0,
    50.0,
    250.0,
)  # milliseconds: of 95 % of usual messages, of any, of what is taken
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
NOTHING = Modifications()


def milliseconds(text: str, fields: dict[str, str], modifications: Modifications) -> float:
    started = time.process_time()
    for number in range(ROUNDS):
        vary(text, modifications, seed=str(number), fields=fields)
    return (time.process_time() - started) / ROUNDS * 1000


def least(text: str) -> float:
    """Milliseconds, the least of three times; also of a text that is refused."""
    times = []
    for _ in range(3):
        started = time.process_time()
        with suppress(Invalid):
            vary(bounded(text), EVERYTHING, seed="1", fields={"a": "x"})
        times.append(time.process_time() - started)
    return min(times) * 1000


def whole() -> Iterator[tuple[str, str]]:
    """Texts of as many characters as a message has, with their names."""
    for language, before in BEFORE.items():
        for name, unit in UNITS.items():
            yield f"{name}, {language or 'alone'}", repeated(unit, characters=WHOLE, before=before)
    for language in tables.LANGUAGES:
        entries = tables.read(language).values()
        examples = [
            one for entry in entries for one in ([entry["yes"]] if isinstance(entry["yes"], str) else entry["yes"])
        ]
        for start in range(0, len(examples), 50):
            yield f"examples from {start}, {language}", " ".join(examples[start:])[:WHOLE]


def longest() -> Iterator[tuple[str, str]]:
    for name, unit in UNITS.items():
        yield name, unit * (MAX_MESSAGE_BYTES // len(unit.encode()))


def main() -> int:
    texts = [
        message["text"]
        for name in ("development.json", "messages.json", "later.json")
        for message in json.loads((MESSAGES / name).read_text(encoding="utf-8"))
    ]
    started = time.process_time()
    vary("Hello Alice, thank you for coming.", EVERYTHING, seed="1")
    print(f"first call, tables read: {(time.process_time() - started) * 1000:.0f} ms")
    everything, nothing = [], []
    for text in texts:
        if len(text) <= USUAL:
            fields = dict.fromkeys(re.findall(r"\{\{(\w+)\}\}", text), "Alice")
            everything.append(milliseconds(text, fields, EVERYTHING))
            nothing.append(milliseconds(text, fields, NOTHING))
    cuts = statistics.quantiles(everything, n=100)
    print(f"{len(everything)} usual messages: median {cuts[49]:.2f} ms, 95 % under {cuts[94]:.2f} ms")
    print(f"ratio to spintax and placeholders alone: {sum(everything) / sum(nothing):.0f}")
    found = {f"95 % of usual messages under {cuts[94]:.2f} ms": cuts[94] / MOST_USUAL}
    for title, slow, most in ((f"{WHOLE} characters", whole(), MOST_WHOLE), ("the longest", longest(), MOST_LONGEST)):
        times = sorted(((least(text), name) for name, text in slow), reverse=True)
        print(f"{title}, of {len(times)} texts: " + "; ".join(f"{taken:.1f} ms ({name})" for taken, name in times[:4]))
        found |= {f"{title}: {name} took {taken:.1f} ms": taken / most for taken, name in times}
    over = [what for what, share in found.items() if share > 1]
    print(*over, sep="\n")
    return 1 if over and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
