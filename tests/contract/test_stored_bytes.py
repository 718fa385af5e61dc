"""What counts as stored when much is stored at the same time."""

import asyncio
from dataclasses import replace

import psycopg
import pytest
import sqlalchemy as sa

from services.errors import NotFound, QuotaExceeded
from services.orchestrator.domain import next_event
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.event import FragmentReady, Progressed
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import StoredBytes
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.domain.plan import Plan
from services.orchestrator.store import event_writer, stored_bytes
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from tests.support.builders import NOON, a_caller, a_job, admit


def a_limited(user: str = "ann", tenant_most: int | None = None, user_most: int | None = None) -> Caller:
    """A caller whose tenant and users may store so much."""
    most = {Subject.TENANT: tenant_most, Subject.USER: user_most}
    limits = [Limit(StoredBytes(), subject, Per.AT_A_TIME, each) for subject, each in most.items()]
    return Caller("studio", user, Plan("small", tuple(limits), display_name="Small"))


def numbered(number: int, size: int = 10, user: str = "ann") -> Asset:
    return Asset("studio", user, f"{number:064x}", size, PictureInfo("image/png", 64, 64), NOON)


async def used(store: PostgresStore, user: str = "ann") -> tuple[int, int]:
    """Returns what is stored by the tenant and by the user."""
    statuses = await store.counters.status(a_caller(user))
    found = {each.limit.subject: each.used for each in statuses if each.limit.measure == StoredBytes()}
    return found[Subject.TENANT], found[Subject.USER]


async def test_an_upload_counts_for_its_tenant_and_its_user_and_the_same_one_once(store: PostgresStore) -> None:
    for asset in (numbered(1), numbered(1), numbered(2), numbered(2, user="bob")):
        await store.assets.put(asset, a_caller(asset.user))
    assert (await used(store), await used(store, "bob")) == ((30, 20), (30, 10))
    assert await store.counter_audits.full(limit=9) == []


async def test_an_upload_that_would_pass_a_limit_is_refused_and_nothing_is_stored(store: PostgresStore) -> None:
    caller = a_limited(tenant_most=25, user_most=15)
    await store.assets.put(numbered(1), caller)
    with pytest.raises(QuotaExceeded) as refused:
        await store.assets.put(numbered(2, 20), caller)
    assert [(each.subject, each.measure, each.limit, each.used, each.asked) for each in refused.value.violations] == [
        ("tenant", "bytes", 25, 10, 20),
        ("user", "bytes", 15, 10, 20),
    ]
    with pytest.raises(NotFound):
        await store.assets.get(numbered(2).sha256, tenant="studio", user="ann")
    assert await used(store) == (10, 10)
    await store.assets.put(numbered(3, 5), caller)  # the limit itself is allowed
    assert await store.counter_audits.full(limit=9) == []


async def test_what_is_stored_already_may_be_uploaded_again_at_the_limit(store: PostgresStore) -> None:
    caller = a_limited(user_most=10)
    first = await store.assets.put(numbered(1), caller)
    await store.assets.check(first.sha256, 10, caller)
    assert await store.assets.put(numbered(1), caller) == first
    with pytest.raises(QuotaExceeded):
        await store.assets.check(numbered(2).sha256, 1, caller)


async def test_a_user_who_may_store_nothing_has_no_counter_and_is_refused(store: PostgresStore) -> None:
    with pytest.raises(QuotaExceeded, match="allows the user no stored files"):
        await store.assets.put(numbered(1), a_limited(user_most=0))
    assert await used(store) == (0, 0)


async def test_a_race_of_uploads_from_new_users_fills_a_limit_exactly(store: PostgresStore) -> None:
    async def put(number: int) -> Asset:
        user = f"user-{number % 9}"
        return await store.assets.put(numbered(number, user=user), a_limited(user, tenant_most=205))

    results = await asyncio.gather(*(put(number) for number in range(100)), return_exceptions=True)
    assert len([each for each in results if isinstance(each, Asset)]) == 20
    assert len([each for each in results if isinstance(each, QuotaExceeded)]) == 80
    assert (await used(store))[0] == 200
    assert await store.counter_audits.full(limit=9) == []


async def test_a_race_of_uploads_of_one_file_stores_and_counts_it_once(store: PostgresStore) -> None:
    caller = a_limited(tenant_most=10, user_most=10)
    results = await asyncio.gather(*(store.assets.put(numbered(1), caller) for _ in range(40)))
    assert all(each == numbered(1) for each in results)
    assert await used(store) == (10, 10)


async def test_what_a_job_makes_counts_and_never_fails_it_and_the_next_upload_is_refused(store: PostgresStore) -> None:
    caller = a_limited(tenant_most=100, user_most=100)
    await store.assets.put(numbered(1), caller)
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.start)
    for video in (numbered(2, 60), numbered(3, 500), numbered(3, 500), numbered(1)):
        await store.jobs.record(job.id, lambda _: Progressed("generate", 0.5), assets=[video])
    assert await used(store) == (570, 570)
    assert await store.counter_audits.full(limit=9) == []
    with pytest.raises(QuotaExceeded) as refused:
        await store.assets.put(numbered(4, 1), caller)
    assert [(each.limit, each.used) for each in refused.value.violations] == [(100, 570), (100, 570)]
    await store.assets.put(numbered(4, 1), a_limited(tenant_most=571))


async def test_bytes_of_jobs_and_uploads_at_the_same_time_are_all_counted(store: PostgresStore) -> None:
    jobs = [await admit(store, a_job(id=f"{n:032x}", user=f"user-{n}", request_id=f"r-{n}")) for n in range(8)]
    for job in jobs:
        await store.jobs.record(job.id, next_event.start)

    async def work(number: int) -> None:
        job = jobs[number % 8]
        made = numbered(number, user=job.user)
        await store.jobs.record(job.id, lambda _: Progressed("generate", 0.5), assets=[made])
        await store.assets.put(numbered(1000 + number % 20, user=job.user), a_caller(job.user))

    await asyncio.gather(*(work(number) for number in range(64)))
    await asyncio.gather(*(store.jobs.record(job.id, next_event.cancel) for job in jobs))
    assert await store.counter_audits.full(limit=9) == []


async def test_stored_bytes_warn_like_other_limits(store: PostgresStore) -> None:
    caller = a_limited(user_most=100)
    await store.assets.put(numbered(1, 85), caller)
    assert [(each.measure, each.threshold) for each in await store.usage_warnings.take()] == [("bytes", 80)]
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.start)
    await store.jobs.record(job.id, lambda _: Progressed("generate", 0.5), assets=[numbered(2, 50)])
    assert [each.threshold for each in await store.usage_warnings.take()] == [90, 100]


async def test_a_deleted_asset_makes_room(store: PostgresStore) -> None:
    caller = a_limited(user_most=10)
    asset = await store.assets.put(numbered(1), caller)
    async with store.database.writing() as connection:
        await connection.execute(sa.text("DELETE FROM library_entries; DELETE FROM assets"))
        await stored_bytes.forget(connection, asset.tenant, asset.user, asset.size_bytes)
    assert await store.counter_audits.full(limit=9) == []
    await store.assets.put(replace(asset, sha256="b" * 64), caller)


async def test_the_audit_counts_bytes_that_no_asset_has(store: PostgresStore) -> None:
    await store.assets.put(numbered(1), a_caller())
    async with store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE counters SET used = 11 WHERE measure = 'bytes' AND subject = ''"))
    assert len(await store.counter_audits.full(limit=9)) == 1


async def test_a_fragment_does_not_lock_its_tenants_counter_until_the_worker_answers(store: PostgresStore) -> None:
    await store.assets.put(numbered(9), a_caller())  # so that there are counters
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.start)
    video = numbered(1, 60)
    ready = FragmentReady(0, video.sha256, 16, video.size_bytes, 0.5)
    queue = Queue("make_video", "i2v-test", "1")
    async with store.database.writing() as connection:
        written = await event_writer.record(connection, queue, job.id, lambda _: ready, [video], None, NOON)
        async with store.database.writing() as other:
            await other.execute(sa.text("SELECT id FROM counters WHERE measure = 'bytes' FOR UPDATE NOWAIT"))
    assert written.recorded.event is not None and written.recorded.event.body == ready
    assert (await store.jobs.get(job.id)).progress == 0.5
    assert await used(store) == (70, 70)
    await store.jobs.record(job.id, lambda _: ready, assets=[video])  # it counts once
    assert await used(store) == (70, 70)
    assert await store.counter_audits.full(limit=9) == []


async def test_a_fragment_that_cannot_be_counted_is_not_recorded(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.start)
    ready = FragmentReady(0, "x", 16, 60, 0.5)
    with pytest.raises(psycopg.errors.CheckViolation):
        await store.jobs.record(job.id, lambda _: ready, assets=[numbered(1, -60)])
    assert (await store.jobs.get(job.id)).progress == 0.0
    assert await used(store) == (0, 0)


async def test_a_fragment_whose_attempt_is_stopped_in_between_is_recorded_or_not(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.start)
    took_s = 0.0
    for number in range(40):
        began, video = asyncio.get_running_loop().time(), numbered(number, 1)
        ready = FragmentReady(number, video.sha256, 16, 1, 0.5)
        recording = asyncio.create_task(store.jobs.record(job.id, lambda _, ready=ready: ready, assets=[video]))
        if number < 2:  # they are recorded, and the second one says how long that takes
            await recording
            took_s = asyncio.get_running_loop().time() - began
        await asyncio.sleep(took_s * number / 30)
        recording.cancel()
        await asyncio.wait({recording})
    announced = [each.asset for each in await store.job_events.fragments(job.id)]
    stored = {number for number in range(40) if await store.assets.is_stored(f"{number:064x}", tenant="studio")}
    assert {f"{number:064x}" for number in stored} == set(announced)
    assert {0, 1} <= stored
    assert await used(store) == (len(stored), len(stored))
    assert await store.counter_audits.full(limit=9) == []


LOCKED = sa.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


async def test_a_connection_whose_fragment_was_stopped_in_between_is_not_used_again(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.start)
    first, second = (FragmentReady(number, f"{number:064x}", 16, 1, 0.5) for number in range(2))
    await store.jobs.record(job.id, lambda _: first, assets=[numbered(0)])
    async with store.database.writing() as other, store.database.reading() as looking:
        await other.execute(sa.text("SELECT FROM counters FOR UPDATE"))
        recording = asyncio.create_task(store.jobs.record(job.id, lambda _: second, assets=[numbered(1)]))
        while not (waiting := list(await looking.scalars(LOCKED))):
            await looking.rollback()
        recording.cancel()
        await asyncio.wait({recording})
    assert recording.cancelled()

    async def used_by() -> int:
        async with store.database.reading() as connection:
            number = int((await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one())
            await asyncio.sleep(0.05)  # so that each takes another connection
            return number

    assert waiting[0] not in await asyncio.gather(*(used_by() for _ in range(store.database.pool_size)))
    assert await used(store) == (10, 10)
