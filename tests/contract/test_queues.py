"""What Queues say of waiting jobs, and whom they wake."""

from services.orchestrator.domain import event as events
from services.orchestrator.domain import next_event
from services.orchestrator.domain.paid_call import Acceptance, Submission
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import a_caller, a_job, admit, numbered


async def test_waiting_jobs_are_counted_and_have_places_by_backend(store: PostgresStore) -> None:
    first, second, third = [await admit(store, numbered(number)) for number in (1, 2, 3)]
    other = await store.admissions.admit(numbered(4), "fingerprint", a_caller(), "other")
    await store.jobs.record(first.id, next_event.start)
    assert [await store.queues.length(backend) for backend in ("test", "other", "none")] == [2, 1, 0]
    places = await store.queues.places([first.id, second.id, third.id, other.id])
    assert places == {second.id: 1, third.id: 2, other.id: 1}


async def test_whoever_takes_jobs_off_a_queue_is_woken_by_what_is_put_onto_it(store: PostgresStore) -> None:
    async with store.queues.entries("test") as entries, store.queues.entries("other") as others:
        assert await entries.wait(5) and await others.wait(5)  # raised at first: look
        while await entries.wait(0.3) or await others.wait(0.3):
            pass
        job = await admit(store, a_job())
        assert await entries.wait(5)
        await store.jobs.record(job.id, next_event.start)
        await store.jobs.record(job.id, lambda _: events.Submitting("vendor"), step=Submission("model"))
        await store.jobs.record(job.id, next_event.lost)
        await store.jobs.record(job.id, lambda _: events.Accepted("vendor"), step=Acceptance("task"))
        assert not await entries.wait(0.2)
        await store.jobs.record(job.id, lambda now: events.Resumed(now.expire_time))
        assert await entries.wait(5)
        assert not await others.wait(0.2)
