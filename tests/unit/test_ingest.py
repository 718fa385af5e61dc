"""Uploads that do not end."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from services.errors import Unavailable
from services.orchestrator.ingest import Ingest, Upload
from tests.builders import FakeClock


async def stalling() -> AsyncIterator[bytes]:
    """What the server's limits do with a sender that pauses for too long."""
    yield b"some bytes"
    raise Unavailable("No message came for 60 s. Call again.", reason="SENDER_STALLED")


async def test_an_upload_that_stops_coming_leaves_nothing(tmp_path: Path) -> None:
    nothing = cast(Any, None)  # it does not get as far as a store
    ingest = Ingest(nothing, nothing, FakeClock(), nothing, tmp_path)
    with pytest.raises(Unavailable, match="No message came"):
        await ingest.take(Upload("image/png", None, ""), stalling(), "studio", "ann")
    assert list(tmp_path.iterdir()) == []
