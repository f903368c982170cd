"""Rows of Alice, Bob and Charlie, and the settings, as in the tests of delivery."""

from tests.unit.delivery.conftest import rows, settings

__all__ = ["rows", "settings"]
