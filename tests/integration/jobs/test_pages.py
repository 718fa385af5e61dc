"""Lists of large items: every answer fits into a message, and no item is missing or repeated."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from i2v.v1 import catalog_pb2, job_pb2

from services.orchestrator.domain.event import Failed, JobError, PromptWritten, Started
from services.orchestrator.domain.spec import Scene, SceneAnimation, Spec
from services.orchestrator.role import Role
from tests.support.builders import a_job, admit
from tests.support.served_orchestrator import GOLDEN, Served, caller, served

MODELS = 2500
CAT = "\U0001f408"
"""A character of four bytes."""


def many_models(folder: Path) -> Path:
    golden = (GOLDEN / "models.toml").read_text()
    table = golden[golden.index("[models.test-model]") :].partition("\n\n")[0]
    table = table.replace('description = "For tests."', f'description = "{"x" * 2000}"')
    file = folder / "models.toml"
    tables = (table.replace("test-model", f"model-{number:04}") for number in range(MODELS))
    file.write_text(golden + "\n" + "\n\n".join(tables))
    return file


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    def change(values: dict[str, Any]) -> None:
        values["models_file"] = many_models(tmp_path)

    async with served(database, tmp_path, {}, role=Role.API, change=change) as running:
        yield running


def largest() -> Spec:
    details = tuple((f"{number:02}" + CAT * 62, CAT * 512) for number in range(16))
    return Spec("test-model", SceneAnimation("0" * 64, Scene(CAT * 4000, CAT * 8000, details)), duration_ms=1000)


async def test_jobs_of_the_largest_kind_are_listed_in_pages_that_fit(i2v: Served) -> None:
    made = [
        await admit(
            i2v.app.store,
            a_job(id=f"{number:032x}", request_id=f"00000000-0000-4000-8000-{number:012}", spec=largest()),
            user_active_jobs=100,
            tenant_active_jobs=100,
            user_budget_micros=10**9,
            tenant_budget_micros=10**9,
        )
        for number in range(60)
    ]
    seen, token, pages = [], "", 0
    while True:
        request = job_pb2.ListJobsRequest(page_size=60, page_token=token)
        page = await i2v.jobs.ListJobs(request, metadata=caller())
        seen += [job.name for job in page.jobs]
        pages += 1
        if not (token := page.next_page_token):
            break
    assert seen == [f"jobs/{job.id}" for job in made[::-1]]
    assert pages > 1


async def test_a_catalogue_of_any_length_is_listed_in_pages_that_fit(i2v: Served) -> None:
    for page_size in (0, 200):
        seen, token = [], ""
        while True:
            request = catalog_pb2.ListModelsRequest(page_size=page_size, page_token=token)
            page = await i2v.catalog.ListModels(request, metadata=caller())
            assert page_size == 0 or len(page.models) <= page_size
            seen += [model.name for model in page.models]
            if not (token := page.next_page_token):
                break
        assert len(seen) == len(set(seen)) > MODELS and seen == sorted(seen)


async def test_what_others_say_of_a_job_never_makes_it_too_large_or_too_odd_to_store(i2v: Served) -> None:
    job = await admit(i2v.app.store, a_job())
    endless = "\x00\ud800" + CAT * 2_000_000
    for body in (
        Started(1),
        PromptWritten(endless, endless, "json", endless, 0, endless),
        Failed(JobError(endless, endless, retryable=False), 0),
    ):
        await i2v.app.store.jobs.record(job.id, lambda _, body=body: body)
    found = await i2v.job(f"jobs/{job.id}")
    assert found.error.message.endswith("…") and len(found.error.message) == 2000
    kinds = [event.WhichOneof("event") async for event in i2v.watch(found.name)]
    assert kinds == ["admitted", "started", "prompt_written", "failed"]
