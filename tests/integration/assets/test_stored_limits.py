"""Uploads at a limit of stored bytes: refused before they are received, if their size is known, and stored never."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from i2v.v1 import job_pb2

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
from tests.support.builders import FakeClock, ScriptedBackend
from tests.support.client_command import Command, Ended
from tests.support.served_orchestrator import Served, served, text_spec

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


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    """A service in which the plan of all tenants is small."""

    def change(values: dict[str, Any]) -> None:
        values["plans_file"] = tmp_path / "plans.toml"

    subjects = ("tenant", "user")
    each = ", ".join(f'{{ count = "bytes", for = "{subject}", most = {len(FILM) + 100} }}' for subject in subjects)
    limits = f"limits = [{each}]"
    (tmp_path / "plans.toml").write_text("".join(f"[plans.{name}]\n{limits}\n" for name in ("test", "poor")))
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, change=change) as running:
        yield running


async def test_a_person_learns_of_each_limit_that_has_no_room_and_jobs_go_on(i2v: Served, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(FILM)
    command = Command(i2v.address, tmp_path)

    async def upload(*arguments: str) -> Ended:
        return await command("upload", *arguments, key="studio-key", I2V_USER="ann")

    assert (await upload("film.mp4")).code == 0
    ended = await i2v.ended((await i2v.submit(text_spec())).name)
    assert ended.state == job_pb2.Job.SUCCEEDED  # its files are more than there was room for
    assert (await upload("film.mp4")).code == 0  # stored already
    (tmp_path / "note.wav").write_bytes(sounds.a_sound("audio/wav", 1.0))
    refused = await upload("note.wav")
    tenant, user = refused.err.splitlines()
    assert (refused.code, tenant[:15], user[:13]) == (3, "The tenant has ", "The user has ")
    assert user.endswith("Send a smaller file, or ask for another plan.")
    limits = json.loads((await upload("note.wav", "--json")).err)["error"]["limits"]
    assert [(each["subject"], each["measure"]) for each in limits] == [("tenant", "bytes"), ("user", "bytes")]


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
