"""Uploads that do not end, and too many of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from services.errors import InvalidUpload, Unavailable
from services.orchestrator.ingest import Ingest, Upload
from tests.builders import FakeClock

PICTURE = Upload("image/png", None, "")


def an_ingest(spool: Path, **limits: float) -> Ingest:
    nothing = cast(Any, None)  # none of these uploads gets as far as a store
    return Ingest(nothing, nothing, FakeClock(), nothing, spool, **limits)  # type: ignore[arg-type]


async def stalling(begun: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"some bytes"
    begun.set()
    await asyncio.Event().wait()


async def test_an_upload_that_stops_coming_is_given_up_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidUpload) as refused:
        await an_ingest(tmp_path, stall_s=0.05).take(PICTURE, stalling(asyncio.Event()), "studio", "ann")
    assert refused.value.reason == "UPLOAD_STALLED"
    assert list(tmp_path.iterdir()) == []


async def test_one_tenant_cannot_take_every_place(tmp_path: Path) -> None:
    ingest = an_ingest(tmp_path, at_once=2, stall_s=30)
    begun = [asyncio.Event() for _ in range(2)]
    held = [asyncio.create_task(ingest.take(PICTURE, stalling(event), "studio", "ann")) for event in begun]
    for event in begun:
        await event.wait()
    with pytest.raises(Unavailable) as refused:
        await ingest.take(PICTURE, stalling(asyncio.Event()), "studio", "bob")
    assert refused.value.reason == "UPLOADS_BUSY"
    other = asyncio.Event()
    held.append(asyncio.create_task(ingest.take(PICTURE, stalling(other), "story", "ann")))
    await other.wait()
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidUpload):  # the places are free again
        await an_ingest(tmp_path, stall_s=0.05).take(PICTURE, stalling(asyncio.Event()), "studio", "ann")
