"""Rows of Alice, Bob and Charlie, and the settings of a worker that does not wait."""

import pytest

from chatwren.settings import Settings
from chatwren.store.database import Database
from tests.rows import Rows


@pytest.fixture
def rows(db: Database) -> Rows:
    return Rows(db)


@pytest.fixture
def settings() -> Settings:
    return Settings(
        _env_file=None,
        pacing_gap_seconds=0,
        pacing_jitter_seconds=0,
        send_timeout_seconds=1,
        max_resends=2,
    )
