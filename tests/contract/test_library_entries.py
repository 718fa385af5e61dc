"""How the library's entries begin: with uploads, and with the videos of jobs."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from services.orchestrator.domain import next_event
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import VideoOutput
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.library_entry import Kind, Origin
from services.orchestrator.domain.media_info import PictureInfo, VideoInfo
from services.orchestrator.domain.spec import Size
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, a_caller, a_job, admit

PICTURE = Asset("studio", "ann", "a" * 64, 10, PictureInfo("image/png", 64, 64), NOON)
VIDEO = Asset("studio", "ann", "b" * 64, 99, VideoInfo("video/mp4", 64, 64, 80, 16.0, 5.0), NOON)
DETAILS = Details("A cat", "On the roof.", ("cat", "roof"), "story_writer", {"scene": 3})


async def succeed(store: PostgresStore, details: Details | None) -> str:
    """Runs a job to its end. Returns its id."""
    job = await admit(store, a_job(spec=replace(a_job().spec, details=details)))
    await store.jobs.record(job.id, next_event.start)
    output = VideoOutput(VIDEO.sha256, Size(64, 64), 80, 16.0, 5000, 99)
    await store.jobs.record(job.id, lambda job: next_event.succeed(job, output), assets=[VIDEO])
    return job.id


async def test_an_upload_has_an_entry_with_what_was_said_of_it(store: PostgresStore) -> None:
    await store.assets.put(PICTURE, a_caller(), DETAILS)
    entry = await store.library.find(PICTURE.sha256, tenant="studio", user="ann")
    assert entry is not None
    assert (entry.kind, entry.details, entry.origin, entry.revision) == (Kind.IMAGE, DETAILS, None, 1)
    assert await store.library.find(PICTURE.sha256, tenant="studio", user="bob") is None


async def test_an_upload_repeated_keeps_the_details_of_the_first(store: PostgresStore) -> None:
    await store.assets.put(PICTURE, a_caller(), DETAILS)
    await store.assets.put(PICTURE, a_caller(), Details("Another"))
    entry = await store.library.find(PICTURE.sha256, tenant="studio", user="ann")
    assert entry is not None and entry.details == DETAILS


@pytest.mark.parametrize("details", [None, DETAILS])
async def test_a_job_that_succeeds_makes_the_entry_of_its_video(store: PostgresStore, details: Details | None) -> None:
    job_id = await succeed(store, details)
    entry = await store.library.find(VIDEO.sha256, tenant="studio", user="ann")
    assert entry is not None and entry.kind is Kind.VIDEO
    job = await store.jobs.get(job_id)
    assert entry.details == (details or Details(job.spec.operation.prompt))
    assert entry.origin == Origin(
        job_id,
        job.spec.operation.kind,
        job.spec.model,
        job.spec.seed,
        job.prompt,
        job.charged_micros or 0,
        tuple(job.spec.operation.assets.values()),
    )
    assert entry.create_time == job.end_time


async def test_a_fragment_has_no_entry_until_its_bytes_are_uploaded(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.start, assets=[VIDEO])
    assert await store.library.find(VIDEO.sha256, tenant="studio", user="ann") is None
    await store.assets.put(VIDEO, a_caller())
    assert await store.library.find(VIDEO.sha256, tenant="studio", user="ann") is not None


async def test_the_words_of_an_entry_are_found(store: PostgresStore) -> None:
    await store.assets.put(PICTURE, a_caller(), replace(DETAILS, tags=("sea side",), title="Кошка на крыше"))
    async with store.database.reading() as connection:
        for word, expected in (("кошка", 1), ("side", 1), ("roof", 1), ("dog", 0)):
            query = sa.text("SELECT count(*) FROM library_entries WHERE words @@ websearch_to_tsquery('simple', :word)")
            assert (await connection.execute(query, {"word": word})).scalar_one() == expected, word
