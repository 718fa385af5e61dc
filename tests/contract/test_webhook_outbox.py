"""Which events become deliveries, and what these say."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from google.protobuf import json_format

from services.errors import QuotaExceeded
from services.orchestrator.api import job_messages
from services.orchestrator.domain import next_event
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import FragmentReady, Progressed, Started
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.domain.webhook import USUAL, EndpointState, EventType
from services.orchestrator.ports.admissions import NewJob
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, a_caller, admit, numbered
from tests.support.webhooks import an_act, an_endpoint, data, deliver_all, deliveries, types

PICTURE = Asset("studio", "ann", "a" * 64, 10, PictureInfo("image/png", 4, 4), NOON)
KEY = EntryKey("studio", "ann", "a" * 64)


async def test_what_happens_to_a_job_is_delivered_in_order_to_each_endpoint_that_wants_it(store: PostgresStore) -> None:
    everything, ends = await an_endpoint(store), await an_endpoint(store, EventType.JOB_CANCELLED)
    job = await admit(store, numbered(1))
    await store.jobs.record(job.id, lambda _: Started(1))
    await store.jobs.record(job.id, lambda _: Progressed("generate", 0.5))
    await store.jobs.record(job.id, lambda _: FragmentReady(0, "f" * 64, 8, 100, 0.5))
    await store.jobs.record(job.id, next_event.cancel)
    assert await types(store, ends) == []
    assert await types(store, everything) == ["job.submitted", "job.started", "job.fragment_ready"]
    assert [each.sequence for each in await deliveries(store, everything)] == [1, 2, 4]
    assert {each.subject for each in await deliveries(store, everything)} == {f"jobs/{job.id}"}


async def test_a_cancelled_job_is_delivered_as_its_watchers_see_it(store: PostgresStore) -> None:
    await an_endpoint(store)
    job = await admit(store, numbered(1))
    await store.jobs.record(job.id, next_event.cancel)
    events = await store.job_events.read(job.id, after=0)
    sent = await deliver_all(store)
    assert [data(each)["event"] for each in sent] == [
        json_format.MessageToDict(job_messages.event(each), always_print_fields_with_no_presence=True)
        for each in events
    ]
    assert [data(each)["sequence"] for each in sent] == [1, 2]
    assert {(data(each)["job"], data(each)["user"]) for each in sent} == {(f"jobs/{job.id}", "ann")}


async def test_events_of_another_tenant_and_of_a_disabled_or_deleted_endpoint_are_not_recorded(
    store: PostgresStore,
) -> None:
    other = await an_endpoint(store, tenant="story")
    disabled, deleted = await an_endpoint(store), await an_endpoint(store)
    await store.webhook_endpoints.change(
        disabled.key, lambda before: replace(before, state=EndpointState.DISABLED), an_act()
    )
    await store.webhook_endpoints.delete(deleted.key, an_act())
    await admit(store, numbered(1))
    assert await types(store, other) == await types(store, disabled) == []
    async with store.database.reading() as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM webhook_deliveries"))).scalar_one() == 0


async def test_a_batch_and_a_refusal_have_the_deliveries_of_their_jobs(store: PostgresStore) -> None:
    endpoint = await an_endpoint(store, EventType.JOB_SUBMITTED)
    new = [NewJob(numbered(number), "fingerprint", "test") for number in range(3)]
    await store.admissions.admit_all(new, a_caller())
    assert [each.subject for each in await deliveries(store, endpoint)] == [f"jobs/{each.job.id}" for each in new]
    with pytest.raises(QuotaExceeded):
        await admit(store, numbered(9), user_active_jobs=1)
    assert len(await deliveries(store, endpoint)) == 3


async def test_warnings_of_limits_are_delivered_by_threshold(store: PostgresStore) -> None:
    await an_endpoint(store, EventType.USAGE_WARNING)
    await admit(store, numbered(1), user_active_jobs=1)
    sent = [data(each) for each in await deliver_all(store)]
    assert [each["percent"] for each in sent] == [80, 90, 100]
    assert sent[0] | {"percent": 0} == {
        "subject": "user",
        "user": "ann",
        "key": "",
        "measure": "unfinished",
        "period": "",
        "percent": 0,
        "counted": "1",
        "limit": "1",
    }


async def test_an_asset_is_created_deleted_restored_and_deleted_for_good(store: PostgresStore) -> None:
    await an_endpoint(store, EventType.ASSET_CREATED, EventType.ASSET_DELETED)
    await store.assets.put(PICTURE, a_caller())
    await store.assets.put(PICTURE, a_caller())  # again: nothing happened
    await store.trash.put(KEY, NOON + timedelta(seconds=1))
    await store.trash.put(KEY, NOON + timedelta(seconds=1))
    await store.trash.restore(KEY, NOON + timedelta(seconds=2))
    await store.trash.purge(KEY, NOON + timedelta(seconds=3))
    sent = [data(each) for each in await deliver_all(store, NOON + timedelta(minutes=1))]
    said = {"asset": f"assets/{'a' * 64}", "user": "ann", "kind": "image", "sizeBytes": "10"}
    assert sent == [
        said | {"cause": "uploaded"},
        said | {"permanent": False},
        said | {"cause": "restored"},
        said | {"permanent": True},
    ]


async def test_the_usual_types_leave_fragments_out() -> None:
    assert EventType.JOB_FRAGMENT_READY not in USUAL
