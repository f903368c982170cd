import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatwren.domain.ids import uuid7
from chatwren.media.decoders import Decoders
from chatwren.media.prepare import PreparedFile, prepare

Prepare = Callable[..., PreparedFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "upload"


@pytest.fixture(scope="module")
def prepared() -> Iterator[Prepare]:
    """What becomes of an upload, all of a module's read by one set of processes."""
    alice, decoders = uuid7(), Decoders()

    def _prepared(
        path: Path, content: bytes | None = None, *, name: str | None = "file", content_type: str | None = None
    ) -> PreparedFile:
        if content is not None:
            path.write_bytes(content)
        return runner.run(prepare(path, file_name=name, content_type=content_type, user=alice, decoders=decoders))

    with asyncio.Runner() as runner:
        yield _prepared
        runner.run(decoders.close())
