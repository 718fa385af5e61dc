"""Operators' lists of jobs: every filter, alone and together, page by page; and everything about one job."""

import itertools
import re
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from services.errors import NotFound
from services.orchestrator.domain import event as events
from services.orchestrator.domain import next_event
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import State
from services.orchestrator.domain.job_record import JobFilter, JobRecord, id_from
from services.orchestrator.domain.paid_call import Submission
from services.orchestrator.store.job_page_statements import BY_INDEX, PageStatements
from services.orchestrator.store.job_records import PostgresJobRecords
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, a_job, a_plan, a_spec, admit

TENANTS, USERS, MODELS, BACKENDS = ("studio", "story"), ("ann", "bob"), ("nano", "big"), ("test", "other")


def admitted_at(number: int) -> datetime:
    return NOON + timedelta(seconds=number)


async def filled(store: PostgresStore) -> list[JobRecord]:
    """Admits two jobs for each combination; every third is cancelled. Returns them, the newest first."""
    made = []
    for number, (tenant, user, model, backend) in enumerate([*itertools.product(TENANTS, USERS, MODELS, BACKENDS)] * 2):
        time = admitted_at(number)
        job = a_job(
            id=f"{id_from(time)}{number:020x}",
            request_id=f"00000000-0000-4000-8000-{number:012}",
            tenant=tenant,
            user=user,
            spec=a_job(spec=a_spec(model=model)).spec,
            create_time=time,
        )
        await store.admissions.admit(job, "fingerprint", Caller(tenant, user, a_plan()), backend)
        if number % 3 == 0:
            await store.jobs.record(job.id, next_event.cancel)
        made.append(JobRecord(await store.jobs.get(job.id), backend))
    return made[::-1]


async def listed(records: PostgresJobRecords, which: JobFilter, size: int) -> list[JobRecord]:
    found: list[JobRecord] = []
    before = None
    for _ in range(200):
        page = await records.page(which, before=before, limit=size)
        found += page.records
        if page.next is None:
            return found
        assert before is None or page.next < before
        before = page.next
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize(("size", "window"), [(3, 5_000), (3, 1), (2, 4), (50, 3), (1, 5_000)])
async def test_a_list_has_the_jobs_of_all_filters_together_and_each_once(
    store: PostgresStore, size: int, window: int
) -> None:
    everything, records = await filled(store), PostgresJobRecords(store.database, window=window)
    for tenant, model, backend, state in itertools.product(
        ("", "studio"), ("", "nano"), ("", "other"), (None, State.QUEUED, State.CANCELLED, State.FAILED)
    ):
        for user in ("", "bob") if tenant else ("",):
            which = JobFilter(tenant=tenant, user=user, model=model, backend=backend, state=state)
            expected = [
                each
                for each in everything
                if each.job.tenant in (tenant or each.job.tenant)
                and each.job.user == (user or each.job.user)
                and each.job.spec.model == (model or each.job.spec.model)
                and each.backend == (backend or each.backend)
                and each.job.state is (state or each.job.state)
            ]
            assert await listed(records, which, size) == expected, which


async def test_a_list_begins_at_a_time_and_ends_before_another(store: PostgresStore) -> None:
    everything = await filled(store)
    since, until = admitted_at(5), admitted_at(9)
    found = await listed(store.job_records, JobFilter(since=since, until=until), 3)
    assert found == [each for each in everything if since <= each.job.create_time < until]
    assert len(found) == 4
    assert await listed(store.job_records, JobFilter(since=datetime.max.replace(tzinfo=NOON.tzinfo)), 3) == []
    assert await listed(store.job_records, JobFilter(until=datetime.min.replace(tzinfo=NOON.tzinfo)), 3) == []


COPIES = """
INSERT INTO jobs (id, tenant, "user", request_id, fingerprint, backend, spec, quote_micros, price_micros, state, stage,
    progress, attempt, last_sequence, charged_micros, create_time, expire_time)
SELECT left(id, 12) || lpad(to_hex(copy), 20, 'f'), tenant, "user", 'copy ' || id || copy, fingerprint, backend, spec,
    quote_micros, price_micros, state, stage, progress, attempt, last_sequence, charged_micros, create_time, expire_time
FROM jobs, generate_series(1, 200) AS copy
"""


async def test_a_page_is_read_by_an_index_whatever_it_is_filtered_by(store: PostgresStore) -> None:
    await filled(store)
    async with store.database.writing() as connection:
        await connection.execute(sa.text("ALTER TABLE jobs DROP CONSTRAINT jobs_held"))  # the copies have no holds
        await connection.execute(sa.text(COPIES))
    async with store.database.writing() as connection:
        await connection.execute(sa.text("ANALYZE jobs"))
        await connection.execute(BY_INDEX)
        for which in (
            JobFilter(),
            JobFilter(tenant="studio"),
            JobFilter(tenant="studio", user="ann"),
            JobFilter(state=State.FAILED),
            JobFilter(model="nano"),
            JobFilter(backend="test", state=State.CANCELLED),
            JobFilter(model="nano", backend="test", since=NOON),
        ):
            statements = PageStatements(which, before=None, limit=50, window=100)
            for statement, values in (statements.ids(), statements.floor()):
                rows = await connection.execute(sa.text(f"EXPLAIN {statement.text}"), values)
                plan = "\n".join(rows.scalars())
                assert not re.search("Seq Scan|Bitmap|Sort Key: jobs", plan), (which, plan)


async def test_everything_about_a_job_is_told(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    waiting = await store.job_records.details(job.id)
    assert (waiting.record.job.id, waiting.record.backend, waiting.events) == (job.id, "test", 1)
    assert waiting.queue_entry is not None
    assert (waiting.queue_entry.status, waiting.queue_entry.queue, waiting.queue_entry.worker) == (
        *("ENQUEUED", "test"),
        "",
    )
    assert {(hold.subject, hold.measure, hold.settled) for hold in waiting.holds} == {
        ("", "spend", None),
        ("", "unfinished", None),
        ("user:ann", "spend", None),
        ("user:ann", "unfinished", None),
    }
    await store.jobs.record(job.id, next_event.start)
    await store.jobs.record(job.id, lambda _: events.Submitting("vendor"), step=Submission("model"))
    called = await store.job_records.details(job.id)
    assert [(call.provider, call.state) for call in called.paid_calls] == [("vendor", "submitting")]
    await store.jobs.record(job.id, lambda _: events.Released("vendor", "PROVIDER_BUSY"))
    await store.jobs.record(job.id, next_event.cancel)
    await store.jobs.record(job.id, lambda _: events.Cancelled(0))
    ended = await store.job_records.details(job.id)
    assert {hold.settled for hold in ended.holds} == {0}
    assert [entry.kind.value for entry in ended.entries] == ["reserve", "settle"]
    assert ended.events == 6
    async with store.database.writing() as connection:
        await connection.execute(sa.text("DELETE FROM dbos.workflow_status"))
    assert (await store.job_records.details(job.id)).queue_entry is None
    with pytest.raises(NotFound):
        await store.job_records.details("none")
