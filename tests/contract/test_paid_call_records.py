"""What is stored of paid calls."""

import pytest

from services.orchestrator.domain import event as events
from services.orchestrator.domain import next_event
from services.orchestrator.domain.paid_call import Acceptance, Submission
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import a_job, admit, numbered


async def test_a_paid_call_is_not_stored_without_its_model_or_the_vendors_reference(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.start)
    for step in (None, Acceptance("task")):
        with pytest.raises(TypeError):
            await store.jobs.record(job.id, lambda _: events.Submitting("vendor"), step=step)
    await store.jobs.record(job.id, lambda _: events.Submitting("vendor"), step=Submission("model"))
    for step in (None, Submission("model")):
        with pytest.raises(TypeError):
            await store.jobs.record(job.id, lambda _: events.Accepted("vendor"), step=step)
    await store.jobs.record(job.id, lambda _: events.Accepted("vendor"), step=Acceptance("task"))
    call = await store.paid_calls.of_job(await store.jobs.get(job.id))
    assert call is not None
    assert (call.model, call.external_ref, call.state) == ("model", "task", "accepted")


async def test_unknown_outcomes_are_counted_and_listed_in_pages_the_oldest_first(store: PostgresStore) -> None:
    admitted = [await admit(store, numbered(number)) for number in range(1, 5)]
    for job in admitted[:3]:
        await store.jobs.record(job.id, next_event.start)
        await store.jobs.record(job.id, lambda _: events.Submitting("vendor"), step=Submission("model"))
        await store.jobs.record(job.id, next_event.lost)
    first = await store.paid_calls.reconciling(after="", limit=2)
    rest = await store.paid_calls.reconciling(after=first[-1].id, limit=2)
    assert [job.id for job in (*first, *rest)] == [job.id for job in admitted[:3]]
    assert await store.paid_calls.count_reconciling() == 3
