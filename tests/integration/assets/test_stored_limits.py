"""Uploads at a limit of stored bytes: refused before they are received, if their size is known, and stored never."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.errors import QuotaExceeded
from services.orchestrator.assets.ingest import Ingest, Upload
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import StoredBytes
from services.orchestrator.domain.plan import Plan
from services.orchestrator.media.upload_probe import UploadProbe
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support import pictures, sounds
from tests.support.builders import FakeClock

FILM, PNG = sounds.a_film(), pictures.a_picture()


class Sent:
    """The chunks of an upload, and whether they were asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.begun = False

    async def chunks(self) -> AsyncIterator[bytes]:
        self.begun = True
        yield self._data


def a_caller(most: int) -> Caller:
    return Caller("studio", "ann", Plan("small", (Limit(StoredBytes(), Subject.USER, Per.AT_A_TIME, most),)))


@pytest.fixture
def ingest(store: PostgresStore, tmp_path: Path, clock: FakeClock) -> Ingest:
    spool = tmp_path / "spool"
    spool.mkdir()
    return Ingest(store.assets, LocalBlobs(tmp_path / "blobs"), clock, UploadProbe(), spool)


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


async def test_a_file_whose_size_is_known_is_refused_before_it_is_received(ingest: Ingest, tmp_path: Path) -> None:
    sent = Sent(FILM)
    with pytest.raises(QuotaExceeded, match="of stored files"):
        await ingest.take(Upload("video/mp4", len(FILM), ""), sent.chunks(), a_caller(len(FILM) - 1))
    assert (sent.begun, files(tmp_path)) == (False, [])


@pytest.mark.parametrize(("media_type", "data", "known"), [("video/mp4", FILM, False), ("image/png", PNG, True)])
async def test_any_other_is_refused_when_its_size_is_known_and_nothing_is_stored(
    ingest: Ingest, tmp_path: Path, media_type: str, data: bytes, known: bool
) -> None:
    sent = Sent(data)
    with pytest.raises(QuotaExceeded):
        await ingest.take(Upload(media_type, len(data) if known else None, ""), sent.chunks(), a_caller(10))
    assert (sent.begun, files(tmp_path)) == (True, [])


async def test_what_is_stored_already_is_taken_again_at_the_limit(ingest: Ingest) -> None:
    sound, caller = sounds.a_sound("audio/wav", 1.0), a_caller(10**6)
    first = await ingest.take(Upload("audio/wav", len(sound), ""), Sent(sound).chunks(), caller)
    full = a_caller(first.size_bytes)
    assert await ingest.take(Upload("audio/wav", len(sound), first.sha256), Sent(sound).chunks(), full) == first
    assert await ingest.take(Upload("audio/wav", None, ""), Sent(sound).chunks(), full) == first
    with pytest.raises(QuotaExceeded):
        await ingest.take(Upload("video/mp4", len(FILM), ""), Sent(FILM).chunks(), full)
