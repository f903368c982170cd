"""Rows of Alice, Bob and Charlie, as in the tests of delivery."""

import pytest
from tests.unit.delivery.conftest import Rows

from chatwren.store.database import Database


@pytest.fixture
def rows(db: Database) -> Rows:
    return Rows(db)
