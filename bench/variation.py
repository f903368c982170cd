"""What a variation costs.

    python bench/variation.py

Every collected message of up to 500 characters is varied with everything switched on, many times over. Times are those
of the process, so that waiting for busy neighbours does not count.
"""

import json
import re
import statistics
import time
from pathlib import Path

from chatwren.variation import Modifications, vary

MESSAGES = Path(__file__).parent.parent / "tests" / "unit" / "variation"
USUAL = 500  # characters
ROUNDS = 20
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
NOTHING = Modifications()


def milliseconds(text: str, fields: dict[str, str], modifications: Modifications) -> float:
    started = time.process_time()
    for number in range(ROUNDS):
        vary(text, modifications, seed=str(number), fields=fields)
    return (time.process_time() - started) / ROUNDS * 1000


def main() -> None:
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
    longest = max(texts, key=len)
    print(f"the longest, {len(longest)} characters: {milliseconds(longest, {}, EVERYTHING):.1f} ms")


if __name__ == "__main__":
    main()
