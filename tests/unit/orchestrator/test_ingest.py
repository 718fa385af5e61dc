"""Uploads that do not end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from services.errors import Unavailable
from services.orchestrator.assets.ingest import Ingest, Upload
from tests.support.builders import FakeClock, a_caller

PICTURE = Upload("image/png", None, "")


def an_ingest(spool: Path) -> Ingest:
    nothing = cast(Any, None)  # none of these uploads gets as far as a store
    return Ingest(nothing, nothing, FakeClock(), nothing, spool)


async def stalling(begun: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"some bytes"
    begun.set()
    await asyncio.Event().wait()


async def test_an_upload_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"some bytes"
        raise Unavailable(reason="SENDER_STALLED")

    with pytest.raises(Unavailable):
        await an_ingest(tmp_path).take(PICTURE, breaking(), a_caller())
    assert list(tmp_path.iterdir()) == []


async def test_one_tenant_has_as_many_uploads_as_the_settings_allow(tmp_path: Path) -> None:
    """The server limits them together with all calls; ingest has no limit of its own."""
    ingest, begun = an_ingest(tmp_path), [asyncio.Event() for _ in range(32)]
    held = [asyncio.create_task(ingest.take(PICTURE, stalling(event), a_caller())) for event in begun]
    started = asyncio.gather(*(event.wait() for event in begun))
    await asyncio.wait({started, *held}, return_when=asyncio.FIRST_COMPLETED)
    assert not [task.exception() for task in held if task.done()]
    await started
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert list(tmp_path.iterdir()) == []


async def test_an_upload_that_is_cancelled_while_its_end_is_written_closes_its_file(tmp_path: Path) -> None:
    video, sent = Upload("video/mp4", None, ""), asyncio.Event()

    async def large() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield bytes(8 << 20)
        sent.set()

    taking = asyncio.create_task(an_ingest(tmp_path).take(video, large(), a_caller()))
    await sent.wait()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    del taking
    assert list(tmp_path.iterdir()) == []  # a file that is still open is a warning, which fails a test
