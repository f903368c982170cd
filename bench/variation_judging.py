"""Reading every output: what the judges get, and the table of what they said.

    python bench/variation_judging.py write DIRECTORY   outputs.json, outputs.md: original beside output, no rule names
    python bench/variation_judging.py tally OUTPUTS     the table of results, from outputs.json with its verdicts
    python bench/variation_judging.py figures FILE      how many texts of a file change, and into how many wordings

A judge sees the texts alone and puts one word as `verdict` to each output: `good` (a careful native reader would have
sent it), `odd` (nobody would have), `false` (a fact has changed). Outputs equal to their original have the verdict
`same` already. The judged file is committed as tests/unit/variation/verdicts.json, the table in
docs/variation-verdicts.md.
"""

import json
import re
import statistics
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from chatwren.variation import TABLE_VERSION, Modifications, vary

MESSAGES = Path(__file__).parent.parent / "tests" / "unit" / "variation"
FILES = ("development.json", "messages.json", "later.json", "shops.json")
SEEDS = ("1", "2", "3")
EVERYTHING = Modifications(use_synonyms=True, add_emojis=True, shuffle_sentences=True)
NOTHING = Modifications()
DRAWS = 8


def messages() -> list[dict[str, Any]]:
    return [message for name in FILES for message in json.loads((MESSAGES / name).read_text(encoding="utf-8"))]


def outputs() -> list[dict[str, Any]]:
    """Each message with its outputs. Placeholders stay as they are, so that the original can be compared."""
    judged = []
    for message in messages():
        text = message["text"]
        fields = {name: f"{{{{{name}}}}}" for name in re.findall(r"\{\{([^{}]+)\}\}", text)}
        found: dict[str, dict[str, Any]] = {}
        for seed in SEEDS:
            varied = vary(text, EVERYTHING, seed=seed, fields=fields).text
            verdict = "same" if varied == text else None
            found.setdefault(varied, {"seed": seed, "text": varied, "verdict": verdict, "note": ""})
        judged.append({"id": message["id"], "lang": message["lang"], "original": text, "outputs": list(found.values())})
    return judged


def write(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    judged = outputs()
    data = {"tables": TABLE_VERSION, "messages": judged}
    (directory / "outputs.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    lines = [f"# Outputs with tables {TABLE_VERSION}", ""]
    for entry in judged:
        lines += [f"## {entry['id']} ({entry['lang']})", "", "Original:", "", *_quoted(entry["original"]), ""]
        for output in entry["outputs"]:
            text = ["> (unchanged)"] if output["verdict"] == "same" else _quoted(output["text"])
            lines += [f"Output {output['seed']}:", "", *text, ""]
    (directory / "outputs.md").write_text("\n".join(lines), encoding="utf-8")
    print(f"{len(judged)} messages, {sum(len(entry['outputs']) for entry in judged)} different outputs, in {directory}")


def _quoted(text: str) -> list[str]:
    return [f"> {line}" for line in text.split("\n")]


def tally(path: Path) -> None:
    """Print the table, one row a language, and every output that was not good."""
    about = {message["id"]: message for message in messages()}
    judged = json.loads(path.read_text(encoding="utf-8"))
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    bad = []
    for entry in judged["messages"]:
        message = about[entry["id"]]
        kind = "sensitive" if message["sensitive"] else "free" if message["supported"] else "unsupported"
        verdicts = [output["verdict"] for output in entry["outputs"]]
        for row in (rows[entry["lang"]], rows["all"]):
            row[kind] += 1
            row[f"{kind} changed"] += any(verdict != "same" for verdict in verdicts)
            row.update(verdicts)
        bad += [(entry, output) for output in entry["outputs"] if output["verdict"] in {"odd", "false", None}]
    print(f"Tables {judged['tables']}\n")
    print("| language | may change | did | sensitive or unsupported | did | outputs | good | odd | fact changed |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        kept = row["sensitive"] + row["unsupported"]
        kept_changed = row["sensitive changed"] + row["unsupported changed"]
        changed = row["good"] + row["odd"] + row["false"]
        print(
            f"| {name} | {row['free']} | {row['free changed']} | {kept} | {kept_changed} "
            f"| {changed} | {row['good']} | {row['odd']} | {row['false']} |"
        )
    for entry, output in bad:
        print(f"\n- {entry['id']}, {output['verdict'] or 'not judged'}: {output['text']!r} {output['note']}")


def figures(path: Path) -> None:
    """Print what needs no reader, each text and then one row a language. The fields hold a value."""
    free: dict[str, list[tuple[bool, int, int]]] = defaultdict(list)
    sensitive: dict[str, list[bool]] = defaultdict(list)
    print(f"Tables {TABLE_VERSION}\n")
    for message in json.loads(path.read_text(encoding="utf-8")):
        if not message["supported"]:
            continue
        text = message["text"]
        fields = dict.fromkeys(re.findall(r"\{\{([^{}]+)\}\}", text), "Alice")
        plain = vary(text, NOTHING, seed="0", fields=fields).text
        drawn = [vary(text, EVERYTHING, seed=str(seed), fields=fields) for seed in range(DRAWS)]
        different = {draw.text for draw in drawn}
        changed, possible = different != {plain}, drawn[0].variants_possible
        for row in (message["lang"], "all"):
            if message["sensitive"]:
                sensitive[row].append(changed)
            else:
                free[row].append((changed, possible, len(different)))
        kind = "sensitive" if message["sensitive"] else "free"
        because = "changed" if changed else drawn[0].unchanged_because
        print(f"{message['id']} {kind}: {because}, wordings {possible}, in {DRAWS} draws {len(different)}")
    print(
        f"\n| language | may change | did | median wordings | with 12 or more | with 4 or more in {DRAWS} draws ",
        end="",
    )
    print("| sensitive | did |\n|---|---|---|---|---|---|---|---|")
    for row, texts in sorted(free.items(), key=lambda entry: entry[0] == "all"):
        did, wordings, draws = zip(*texts, strict=True)
        print(
            f"| {row} | {len(did)} | {sum(did)} ({sum(did) / len(did):.0%}) | {statistics.median(wordings):g} "
            f"| {sum(many >= 12 for many in wordings)} | {sum(many >= 4 for many in draws)} "
            f"| {len(sensitive[row])} | {sum(sensitive[row])} |"
        )


def main() -> None:
    match sys.argv[1:]:
        case ["write", directory]:
            write(Path(directory))
        case ["tally", path]:
            tally(Path(path))
        case ["figures", path]:
            figures(Path(path))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
