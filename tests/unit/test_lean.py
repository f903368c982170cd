"""What the processes that stay up do not load: each of these took megabytes and a part of the start."""

import subprocess
import sys

import pytest

HEAVY = ("alembic", "httpx", "litestar", "PIL", "pydantic", "rich", "segno", "sqlalchemy")
APPLICATION = (
    "chatwren.lean.without_pydantic(); from chatwren.settings import Settings;"
    "from chatwren.web.app import create_app; assert create_app(Settings(_env_file=None), None, None).routes"
)


@pytest.mark.parametrize(
    ("load", "needed"),
    [
        ("import chatwren.machine.serve", set()),
        ("import chatwren.delivery.worker", set()),
        (APPLICATION, {"litestar"}),
    ],
)
def test_what_is_heavy_is_loaded_where_it_is_needed(load: str, needed: set[str]) -> None:
    shown = f"print(*{{name.partition('.')[0] for name, one in sys.modules.items() if one}} & set({HEAVY!r}))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, chatwren.__main__; {load}; {shown}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == needed
