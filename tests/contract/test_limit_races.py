"""Many submissions for a small limit of each kind, from new users and keys, while other jobs are cancelled."""

import asyncio

import pytest

from services.errors import QuotaExceeded, Unavailable
from services.orchestrator.domain import next_event
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Jobs, Measure, QueuedJobs, Spend, UnfinishedJobs, VideoSeconds
from services.orchestrator.domain.plan import Plan
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import numbered

SUBMISSIONS, MOST = 150, 20
"""Of a race for each kind of limit and each subject."""
LARGE_SUBMISSIONS, LARGE_MOST = 1000, 100
"""Of a race for each kind."""
AT_A_TIME = 100
KINDS: list[tuple[Measure, Per, int]] = [
    (Spend(), Per.MONTH, 1000),
    (Jobs(), Per.DAY, 1),
    (Jobs(operation="text-to-video"), Per.ANNIVERSARY, 1),
    (Jobs(model="test-model"), Per.DAY, 1),
    (Jobs(capability="waves"), Per.MONTH, 1),
    (VideoSeconds(), Per.DAY, 1000),
    (UnfinishedJobs(), Per.AT_A_TIME, 1),
    (QueuedJobs(), Per.AT_A_TIME, 1),
]
"""Each with what one job asks for."""


def racing(number: int, subject: Subject, plan: Plan) -> tuple[Job, Caller]:
    """Returns a job and its caller. What the limit is not for differs from job to job, and none existed before."""
    user = "newcomer" if subject is Subject.USER else f"user-{number}"
    key = "new-key" if subject is Subject.KEY else f"key-{number % 3}"
    job = numbered(number, user=user, key=key, capability="waves")
    return job, Caller("studio", user, plan, key=key)


async def submit(store: PostgresStore, job: Job, caller: Caller) -> Job:
    return await store.admissions.admit(job, "fingerprint", caller, "test")


async def submit_all(store: PostgresStore, racing: list[tuple[Job, Caller]]) -> list[Job | BaseException]:
    """Submits jobs, as many at a time as a process answers before one waits too long for a connection."""
    at_a_time = asyncio.Semaphore(AT_A_TIME)

    async def one(job: Job, caller: Caller) -> Job:
        async with at_a_time:
            return await submit(store, job, caller)

    return await asyncio.gather(*(one(*each) for each in racing), return_exceptions=True)


def others(number: int, subject: Subject) -> tuple[Job, Caller]:
    """Returns a job of another user for whom the limit does not hold; of another tenant, if it is the tenant's."""
    tenant, user = "story" if subject is Subject.TENANT else "studio", f"other-{number % 4}"
    return numbered(10_000 + number, tenant=tenant, user=user), Caller(tenant, user, Plan("free"))


async def cancelled(store: PostgresStore, jobs: list[Job]) -> None:
    for job in jobs:
        await store.jobs.record(job.id, next_event.cancel)


async def held_by(store: PostgresStore, caller: Caller) -> int:
    """Returns what is held of the first limit of the plan."""
    return (await store.counters.status(caller))[0].held


async def nothing_is_left(store: PostgresStore, caller: Caller) -> None:
    for status in await store.counters.status(caller):
        assert (status.held, status.used) == (0, 0)
    assert await store.counter_audits.full(limit=9) == []


async def race(
    store: PostgresStore, kind: tuple[Measure, Per, int], subject: Subject, submissions: int, most: int
) -> None:
    """Asserts that a race admits exactly the limit and leaves no hold, while jobs of others are cancelled."""
    measure, per, each = kind
    plan = Plan("tight", (Limit(measure, subject, per, most * each),))
    waiting = [await submit(store, *others(number, subject)) for number in range(most)]
    submitting = submit_all(store, [racing(number, subject, plan) for number in range(submissions)])
    results, _ = await asyncio.gather(submitting, cancelled(store, waiting))
    admitted = [result for result in results if isinstance(result, Job)]
    refused = [result for result in results if isinstance(result, QuotaExceeded)]
    assert (len(admitted), len(refused)) == (most, submissions - most)
    caller = racing(0, subject, plan)[1]
    assert await held_by(store, caller) == most * each
    await cancelled(store, admitted)
    await nothing_is_left(store, caller)


def name_of(value: object) -> str:
    return value[0].key if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("subject", Subject)
@pytest.mark.parametrize("kind", KINDS, ids=name_of)
async def test_a_race_admits_exactly_the_limit_and_leaves_no_hold(
    store: PostgresStore, kind: tuple[Measure, Per, int], subject: Subject
) -> None:
    await race(store, kind, subject, SUBMISSIONS, MOST)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", KINDS, ids=name_of)
async def test_a_large_race_admits_exactly_the_limit_and_leaves_no_hold(
    store: PostgresStore, kind: tuple[Measure, Per, int]
) -> None:
    subject = list(Subject)[KINDS.index(kind) % 3]
    await race(store, kind, subject, LARGE_SUBMISSIONS, LARGE_MOST)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
async def test_places_that_are_given_back_in_a_race_are_taken_again_and_never_twice(
    store: PostgresStore, kind: tuple[Measure, Per, int]
) -> None:
    measure, per, each = kind
    plan = Plan("tight", (Limit(measure, Subject.TENANT, per, MOST * each),))
    live: list[Job] = []

    async def come_and_go(number: int) -> None:
        try:
            job = await submit(store, *racing(number, Subject.TENANT, plan))
        except (QuotaExceeded, Unavailable):  # full; or just then a place was given back
            return
        if number % 2:
            await cancelled(store, [job])
        else:
            live.append(job)

    await asyncio.gather(*(come_and_go(number) for number in range(SUBMISSIONS)))
    assert await held_by(store, racing(0, Subject.TENANT, plan)[1]) == len(live) * each <= MOST * each
    for number in range(SUBMISSIONS, SUBMISSIONS + MOST - len(live)):
        live.append(await submit(store, *racing(number, Subject.TENANT, plan)))
    with pytest.raises(QuotaExceeded):
        await submit(store, *racing(SUBMISSIONS + MOST, Subject.TENANT, plan))
    await cancelled(store, live)
    await nothing_is_left(store, racing(0, Subject.TENANT, plan)[1])
