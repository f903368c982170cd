"""Numbers of bytes in errors."""

import pytest

from chatwren.domain.sizes import size


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (100_000_000, "100 MB"),
        (16_000_000, "16 MB"),
        (1_048_576, "1 MiB"),
        (33_554_432, "32 MiB"),
        (16_384, "16 KiB"),
        (10 * 1024**3, "10 GiB"),
        (5_000_000_000, "5 GB"),
        (101_048_576, "101.0 MB"),
        (1_500_000, "1.5 MB"),
        (999_999, "999,999 bytes"),
        (800, "800 bytes"),
        (0, "0 bytes"),
    ],
)
def test_a_size(count: int, said: str) -> None:
    assert size(count) == said
