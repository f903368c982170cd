"""docs/architecture.md is the tree as it is: its folders, and the places that it and CONTRIBUTING.md name."""

import re
import subprocess
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
SOURCES = PurePosixPath("src/chatwren")
FOLDED = (
    "src/chatwren/channels/engine",
    "src/chatwren/store/migrations",
    "src/chatwren/variation",
    "src/chatwren/web/pages",
)
"""Folders of which the page does not tell what they hold."""


def folders() -> set[str]:
    """Those that hold committed files: at the top, and all packages of ours."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = set()
    for name in listed.splitlines():
        path = PurePosixPath(name).parent
        if path.is_relative_to(SOURCES):
            if not any(path != PurePosixPath(one) and path.is_relative_to(one) for one in FOLDED):
                found.add(str(path))
        elif path.parts and not path.parts[0].startswith("."):
            found.add(path.parts[0])
    return found - {"src/chatwren/store/migrations"}


def test_the_table_of_folders_is_the_tree() -> None:
    table = PAGE.partition("## The folders")[2].partition("##")[0]
    assert set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == folders()


def test_each_place_that_it_names_exists() -> None:
    parts = PAGE.partition("## The way of a message")[2]
    named = {one.strip("_") for one in re.findall(r"`([a-z_]+(?:/[a-z_<>]+)*(?:\.[\w]+)*)`", parts) if "/" in one}
    assert named
    for one in named - {"web/api/<resource>", "service/<resource>"}:
        path, _, member = one.partition(".")
        roots = (ROOT, ROOT / SOURCES)
        files = [root / f"{path}{end}" for root in roots for end in ("", ".py", f".{member}" if member else "")]
        there = [file for file in files if file.exists()]
        assert there, one
        if member and there[0].suffix == ".py" and member != "py":
            assert re.search(rf"\b{member}\b", there[0].read_text()), one


def test_what_contributing_names_exists() -> None:
    named = re.findall(r"`((?:bench|docs|proto|src|store|tests)/[\w./-]*)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(named) > 10
    for one in named:
        assert (ROOT / one).exists() or (ROOT / SOURCES / one).exists(), one


def test_decisions_are_numbered_one_by_one() -> None:
    files = sorted((ROOT / "docs" / "adr").iterdir())
    assert [file.name[:4] for file in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    for number, file in enumerate(files, start=1):
        assert file.read_text().startswith(f"# {number}. "), file
