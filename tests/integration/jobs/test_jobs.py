"""A job's whole way through the service: submit, watch, read, retry, settle."""

import asyncio
import uuid
from pathlib import Path

import av
import grpc
import pytest
from i2v.v1 import catalog_pb2, job_pb2

from services.errors import Unavailable
from services.orchestrator.domain.event import JobError
from services.orchestrator.ports.backend import AttemptFailed
from tests.support.builders import ScriptedBackend
from tests.support.job_books import books_are_right
from tests.support.job_deadlines import late
from tests.support.served_orchestrator import GOLDEN, Served, caller, image_spec, served, text_spec

CAT = Path("tests/golden/cat.png").read_bytes()
State = job_pb2.Job


async def test_a_picture_becomes_a_video(i2v: Served, backend: ScriptedBackend, tmp_path: Path) -> None:
    picture = await i2v.upload(CAT)
    job = await i2v.submit(image_spec(picture.name))
    assert (job.state, job.quote.amount_micros, job.spec.size.width) == (State.QUEUED, 1000, 64)
    events = [event async for event in i2v.watch(job.name)]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds == ["admitted", "started", "progressed", "fragment_ready", "fragment_ready", "succeeded"]
    job = await i2v.job(job.name)
    assert (job.state, job.charged.amount_micros, job.output.frames) == (State.SUCCEEDED, 1000, 8)
    file = tmp_path / "out.mp4"
    file.write_bytes(await i2v.download(job.output.asset))
    with av.open(file) as video:
        assert sum(1 for _ in video.decode(video=0)) == 8
    for event in events:
        if event.WhichOneof("event") == "fragment_ready":
            file.write_bytes(await i2v.download(event.fragment_ready.asset))
            with av.open(file) as fragment:
                assert sum(1 for _ in fragment.decode(video=0)) == event.fragment_ready.frames == 4
    assert backend.attempts[0].picture is not None
    await books_are_right(i2v, spent=1000)


async def test_the_catalog_says_what_a_model_offers_and_what_makes_it(database: str, tmp_path: Path) -> None:
    test, own = (GOLDEN / "models.toml").read_text(), tmp_path / "own.toml"
    ours = test.replace("models.test-model", "models.ours").replace('backend = "test"', 'backend = "triton-b"')
    stated = ['profile = "tiny"', "steps = 4", "experimental = true", 'qualities = ["fast", "quality"]']
    stated += ['durations_s_by_operation = { "image-to-video" = [4.5, 3] }']
    own.write_text("\n".join([test, ours, *stated]))

    def change(values: dict[str, object]) -> None:
        values["models_file"] = own

    async with served(database, tmp_path, {}, change=change) as i2v:
        answer = await i2v.catalog.ListModels(catalog_pb2.ListModelsRequest(), metadata=caller())
        spec = text_spec(model="ours", quality=job_pb2.JobSpec.QUALITY)
        found = await i2v.jobs.PreviewJob(job_pb2.PreviewJobRequest(spec=spec), metadata=caller())
    listed, other = answer.models
    assert list(listed.qualities) == [job_pb2.JobSpec.FAST, job_pb2.JobSpec.QUALITY]
    (lengths,) = listed.durations_by_operation
    assert [each.ToMilliseconds() for each in lengths.durations] == [4500, 3000]
    assert (listed.engine.profile, listed.engine.steps, listed.engine.experimental) == ("tiny", 4, True)
    assert not other.HasField("engine") and not listed.engine.HasField("memory_bytes")
    assert found.spec.quality == job_pb2.JobSpec.QUALITY


async def test_fragments_come_while_the_rest_is_being_made(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job = await i2v.submit(text_spec())
    fragment = await i2v.until(job.name, "fragment_ready")
    assert len(await i2v.download(fragment.fragment_ready.asset)) == fragment.fragment_ready.size_bytes
    assert (await i2v.job(job.name)).state == State.RUNNING
    backend.gate.set()
    assert (await i2v.ended(job.name)).state == State.SUCCEEDED


async def test_a_watch_goes_on_where_it_broke_off_and_misses_nothing(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    job = await i2v.submit(text_spec())
    seen = []
    async for event in i2v.watch(job.name):
        seen.append(event)
        if event.WhichOneof("event") == "fragment_ready":
            break  # the connection is lost here
    backend.gate.set()
    seen += [event async for event in i2v.watch(job.name, after=seen[-1].sequence)]
    assert seen == [event async for event in i2v.watch(job.name)]
    assert [event async for event in i2v.watch(job.name, after=seen[-1].sequence)] == []


async def test_many_watchers_all_see_everything(i2v: Served) -> None:
    job = await i2v.submit(text_spec())

    async def watch() -> list[job_pb2.JobEvent]:
        return [event async for event in i2v.watch(job.name)]

    first, *others = await asyncio.gather(*(watch() for _ in range(10)))
    assert all(other == first for other in others) and first[-1].WhichOneof("event") == "succeeded"


async def test_the_same_request_id_gives_the_same_job_and_pays_once(i2v: Served) -> None:
    request_id = str(uuid.uuid4())
    jobs = await asyncio.gather(*(i2v.submit(text_spec(), request_id) for _ in range(20)))
    assert len({job.name for job in jobs}) == 1
    await i2v.ended(jobs[0].name)
    assert (await i2v.submit(text_spec(), request_id)).state == State.SUCCEEDED
    await books_are_right(i2v, spent=1000)


async def test_a_backend_that_is_away_is_tried_again(i2v: Served, backend: ScriptedBackend) -> None:
    backend.troubles = [Unavailable("away", reason="ENGINE_UNREACHABLE"), Unavailable("away", reason="ENGINE_BUSY")]
    job = await i2v.submit(text_spec())
    events = [event async for event in i2v.watch(job.name)]
    waits = [event.retrying.error for event in events if event.WhichOneof("event") == "retrying"]
    assert [(error.reason, error.retryable) for error in waits] == [("ENGINE_UNREACHABLE", True), ("ENGINE_BUSY", True)]
    job = await i2v.job(job.name)
    assert (job.state, job.attempt) == (State.SUCCEEDED, 3)
    await books_are_right(i2v, spent=1000)


async def test_a_job_fails_as_retryable_when_its_deadline_passes_and_costs_nothing(
    i2v: Served, backend: ScriptedBackend
) -> None:
    backend.troubles = [Unavailable("away", reason="ENGINE_UNREACHABLE")] * 50

    async def short(seconds: int) -> job_pb2.Job:
        spec = text_spec()
        spec.timeout.seconds = seconds
        return await i2v.ended((await i2v.submit(spec)).name)

    job = await late(short, 1, lambda job: job.error.reason != "DEADLINE_EXCEEDED")
    assert (job.state, job.error.reason, job.error.retryable) == (State.FAILED, "ENGINE_UNREACHABLE", True)
    await books_are_right(i2v, spent=0)


async def test_a_job_that_runs_past_its_deadline_is_stopped(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()

    async def short(seconds: int) -> job_pb2.Job:
        spec = text_spec()
        spec.timeout.seconds = seconds
        return await i2v.ended((await i2v.submit(spec)).name)

    job = await late(short, 1, lambda job: backend.closed > 0)
    assert (job.state, job.error.reason, backend.closed) == (State.FAILED, "DEADLINE_EXCEEDED", 1)
    await books_are_right(i2v, spent=0)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (AttemptFailed(JobError("ENGINE_FAILED", "no", retryable=False)), "ENGINE_FAILED"),
        (ZeroDivisionError("secret details"), "INTERNAL"),
    ],
)
async def test_a_job_that_cannot_be_made_fails_and_costs_nothing(
    i2v: Served, backend: ScriptedBackend, trouble: Exception, reason: str
) -> None:
    backend.troubles = [trouble]
    job = await i2v.ended((await i2v.submit(text_spec())).name)
    assert (job.state, job.error.reason) == (State.FAILED, reason)
    assert "secret" not in job.error.message
    await books_are_right(i2v, spent=0)


async def test_a_video_that_is_not_what_was_promised_is_not_sold(i2v: Served, backend: ScriptedBackend) -> None:
    whole = backend.frames
    backend.frames = lambda count, size, seed: whole(count - 1, size, seed)
    job = await i2v.ended((await i2v.submit(text_spec())).name)
    assert (job.state, job.error.reason) == (State.FAILED, "OUTPUT_WRONG")
    await books_are_right(i2v, spent=0)


async def test_no_tenant_starves_another(i2v: Served, backend: ScriptedBackend) -> None:
    backend.gate.clear()
    crowd = [await i2v.submit(text_spec()) for _ in range(30)]
    one = await i2v.submit(text_spec("mine"), tenant="story")
    backend.gate.set()
    await i2v.ended(one.name, tenant="story")
    left = [await i2v.job(job.name) for job in crowd]
    assert sum(job.state == State.SUCCEEDED for job in left) < 15
    for job in crowd:
        await i2v.ended(job.name)


async def test_preview_tells_the_price_and_what_is_left_and_changes_nothing(i2v: Served) -> None:
    before = await i2v.usage()
    answer = await i2v.jobs.PreviewJob(job_pb2.PreviewJobRequest(spec=text_spec(seconds=2)), metadata=caller())
    assert (answer.quote.amount_micros, answer.frames, answer.budget_left.amount_micros) == (2000, 16, 498_000)
    assert answer.spec.size.width == 64 and not answer.spec.HasField("seed")
    assert await i2v.usage() == before


async def test_a_budget_is_never_passed_and_the_refusal_says_when_it_resets(i2v: Served) -> None:
    results = await asyncio.gather(
        *(i2v.submit(text_spec(), tenant="poor", user=f"user-{n}") for n in range(8)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    assert len(refused) == 5
    assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert all("resets at" in (error.details() or "") for error in refused)
    usage = await i2v.usage(tenant="poor", user="user-0")
    assert usage.tenant.reserved.amount_micros + usage.tenant.spent.amount_micros == 3000


async def test_the_seed_that_was_drawn_is_reported_and_makes_the_same_video_again(i2v: Served) -> None:
    first = await i2v.ended((await i2v.submit(text_spec())).name)
    again = await i2v.ended((await i2v.submit(text_spec(seed=first.spec.seed))).name)
    assert await i2v.unsigned(again) == await i2v.unsigned(first)


async def test_jobs_are_listed_in_pages_newest_first(i2v: Served) -> None:
    made = [(await i2v.submit(text_spec())).name for _ in range(5)]
    seen, token = [], ""
    while True:
        page = await i2v.jobs.ListJobs(job_pb2.ListJobsRequest(page_size=2, page_token=token), metadata=caller())
        seen += [job.name for job in page.jobs]
        if not (token := page.next_page_token):
            break
    assert seen == made[::-1]


async def test_a_worker_that_is_told_to_stop_leaves_its_job_to_the_next(
    database: str, tmp_path: Path, backend: ScriptedBackend
) -> None:
    backend.gate.clear()
    async with served(database, tmp_path, {"test": (backend, 1)}) as first:
        job = await first.submit(text_spec())
        await first.until(job.name, "fragment_ready")
    assert backend.closed == 1
    backend.gate.set()
    async with served(database, tmp_path, {"test": (backend, 1)}) as second:
        job = await second.ended(job.name)
        assert (job.state, job.attempt) == (State.SUCCEEDED, 2)
        await books_are_right(second, spent=1000)


async def test_a_backend_that_is_not_what_its_cards_say_is_told_of_once(
    database: str, tmp_path: Path, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    def often(values: dict[str, object]) -> None:
        values["silent_s"] = 0.3  # a third of it passes between looks

    caplog.set_level("INFO", "services.orchestrator.worker.backend_readiness")
    backend.unfit = AttemptFailed(JobError("PROFILE_MISMATCH", "this and that", retryable=False))
    async with served(database, tmp_path, {"test": (backend, 1)}, change=often) as i2v:
        for _ in range(3):
            await backend.looks.get()
        assert i2v.registry.get_sample_value("i2v_backend_ready", {"backend": "test"}) == 0
        backend.unfit = None
        while not i2v.registry.get_sample_value("i2v_backend_ready", {"backend": "test"}):
            await backend.looks.get()
    logged = [record for record in caplog.records if record.getMessage().startswith("a backend is ")]
    assert [record.getMessage() for record in logged] == ["a backend is not ready", "a backend is ready"]
    assert (logged[0].__dict__["reason"], logged[0].__dict__["cause"]) == ("PROFILE_MISMATCH", "this and that")
