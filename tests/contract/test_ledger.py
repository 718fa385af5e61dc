"""The ledger: pages, sums and statements."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import Succeeded, VideoOutput
from services.orchestrator.domain.ledger import Entry, Kind
from services.orchestrator.domain.limits.calendar import BillingCalendar, Per, Period
from services.orchestrator.domain.spec import Size
from services.orchestrator.domain.usage import Dimension, Opening, Owner, Sums, UsageGroup, UsageQuery
from services.orchestrator.ports.ledger import Place
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, FakeClock, admit, limit_status, numbered

OUTPUT = VideoOutput("f" * 64, Size(64, 32), 8, 8.0, 1000, 1234)
TENANT, ANN = Owner("studio", None), Owner("studio", "ann")
NOVEMBER = BillingCalendar().period(Per.MONTH, NOON)
CREDIT = sa.text(
    'INSERT INTO ledger_entries (reference, kind, tenant, "user", key, model, operation, capability, card_version,'
    " quote_id, reserved_micros, spent_micros, credit_micros, reason, actor, period_time, time)"
    " VALUES ('gift', 'credit', 'studio', '', '', '', '', '', '', '', 0, 0, 50, 'a gift', 'bob', :now, :now)"
)


async def make(store: PostgresStore, number: int, user: str = "ann", *, end: str = "", **changes: object) -> None:
    await admit(store, numbered(number, user=user, **changes))
    if end == "cancel":
        await store.jobs.record(numbered(number).id, next_event.cancel)
    elif end:
        await store.jobs.record(numbered(number).id, next_event.start)
        await store.jobs.record(numbered(number).id, lambda _: Succeeded(OUTPUT, 700))


async def statement(store: PostgresStore, owner: Owner, month: Period = NOVEMBER) -> tuple[Opening, list[Entry]]:
    opening, entries = None, list[Entry]()
    async for part in store.ledger.statement(owner, month):
        if isinstance(part, Opening):
            opening = part
        else:
            entries += part
    assert opening is not None
    return opening, entries


def query(*by: Dimension, owner: Owner = TENANT, zone: str = "UTC") -> UsageQuery:
    return UsageQuery(owner, by, NOON - timedelta(days=20), NOON + timedelta(days=20), zone)


async def groups(store: PostgresStore, asked: UsageQuery, page: int = 100) -> dict[tuple[str, ...], Sums]:
    found: list[UsageGroup] = []
    after: Sequence[str] | None = None
    while part := (await store.ledger.sums(asked, after=after, limit=page))[0]:
        found += part
        after = part[-1].values
    assert len({each.values for each in found}) == len(found)
    return {each.values: each.sums for each in found}


async def test_pages_of_the_ledger_are_the_newest_first_and_miss_and_repeat_nothing(
    store: PostgresStore, clock: FakeClock
) -> None:
    for number in range(7):
        clock.advance(number % 2)  # some at the same time
        await make(store, number, ["ann", "bob"][number % 2], end="cancel", create_time=clock.now())
    seen: list[Entry] = []
    before = None
    while page := await store.ledger.newest(TENANT, limit=3, before=before):
        seen += page
        before = Place(page[-1].time, page[-1].reference, page[-1].kind.value)
    assert len(seen) == len({(each.reference, each.kind) for each in seen}) == 14
    assert [each.time for each in seen] == sorted((each.time for each in seen), reverse=True)
    assert {each.user for each in await store.ledger.newest(ANN, limit=99)} == {"ann"}
    of_kind = await store.ledger.newest(TENANT, limit=99, kind=Kind.SETTLE)
    assert len(of_kind) == 7 and {each.kind for each in of_kind} == {Kind.SETTLE}
    of_job = await store.ledger.newest(TENANT, limit=99, job=numbered(3).id)
    assert [each.kind for each in of_job] == [Kind.SETTLE, Kind.RESERVE]
    assert await store.ledger.newest(Owner("story", None), limit=99) == []


async def test_a_rare_kind_is_listed_and_a_credit_counts_in_the_sums(store: PostgresStore, clock: FakeClock) -> None:
    await make(store, 1, end="cancel")
    async with store.database.writing() as connection:
        await connection.execute(CREDIT, {"now": clock.now()})
    [entry] = await store.ledger.newest(TENANT, limit=9, kind=Kind.CREDIT)
    assert (entry.credit_micros, entry.reason, entry.actor) == (50, "a gift", "bob")
    assert (await groups(store, query(Dimension.MODEL)))[("",)] == Sums(credit_micros=50, entries=1)


async def test_sums_by_one_or_two_dimensions_are_right_and_add_up_to_the_total(store: PostgresStore) -> None:
    await make(store, 1, end="succeed", key="k1")
    await make(store, 2, end="cancel", key="k2")
    await make(store, 3, user="bob", key="k1")
    by_user = await groups(store, query(Dimension.USER))
    assert by_user == {
        ("ann",): Sums(0, 700, 0, jobs=1, admitted_jobs=2, video_ms=1000, entries=4),
        ("bob",): Sums(1000, 0, 0, jobs=0, admitted_jobs=1, video_ms=0, entries=1),
    }
    both = await groups(store, query(Dimension.KEY, Dimension.USER), page=1)
    assert list(both) == [("k1", "ann"), ("k1", "bob"), ("k2", "ann")]
    _, total = await store.ledger.sums(query(Dimension.MODEL), after=None, limit=9)
    assert total == Sums(1000, 700, 0, jobs=1, admitted_jobs=3, video_ms=1000, entries=5)
    assert set(await groups(store, query(Dimension.OPERATION, Dimension.MODEL))) == {("text-to-video", "test-model")}
    assert await groups(store, query(Dimension.USER, owner=ANN)) == {("ann",): by_user[("ann",)]}
    assert await groups(store, query(Dimension.USER, owner=Owner("story", None))) == {}


@pytest.mark.parametrize(("zone", "days"), [("UTC", ["2026-11-21"]), ("Pacific/Auckland", ["2026-11-22"])])
async def test_a_job_counts_on_the_day_of_its_admission_in_the_time_zone_also_if_it_ends_later(
    store: PostgresStore, clock: FakeClock, zone: str, days: list[str]
) -> None:
    await admit(store, numbered(1))
    clock.advance(3 * 86400)
    await store.jobs.record(numbered(1).id, next_event.cancel)
    assert [values[0] for values in await groups(store, query(Dimension.DAY, zone=zone))] == days


async def test_the_sums_of_a_statement_are_those_of_the_counters(store: PostgresStore) -> None:
    await make(store, 1, end="succeed")
    await make(store, 2, end="cancel")
    await make(store, 3)
    await make(store, 4, user="bob", end="succeed")
    for owner, subject in ((TENANT, "tenant"), (ANN, "user")):
        opening, entries = await statement(store, owner)
        sums, counter = Sums().plus(entries), await limit_status(store, subject, "spend")
        assert (sums.reserved_micros, sums.spent_micros) == (counter.held, counter.used)
        assert opening.counted == Sums(sums.reserved_micros, sums.spent_micros, sums.credit_micros)
        assert opening.limit_micros == counter.most
    assert [(each.reference, each.kind) for each in entries] == [
        (numbered(1).id, Kind.RESERVE),
        (numbered(1).id, Kind.SETTLE),
        (numbered(2).id, Kind.RESERVE),
        (numbered(2).id, Kind.SETTLE),
        (numbered(3).id, Kind.RESERVE),
    ]


async def test_a_job_belongs_to_the_month_of_its_admission_and_what_it_holds_opens_the_next(
    store: PostgresStore, clock: FakeClock
) -> None:
    last_second = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    for number, time in enumerate([last_second, last_second + timedelta(seconds=1)]):
        clock.time = time
        await make(store, number, create_time=time)
    december = BillingCalendar().period(Per.MONTH, clock.now())
    opening, [entry] = await statement(store, TENANT, december)
    assert (entry.reference, opening.reserved_before_micros) == (numbered(1).id, 1000)
    await store.jobs.record(numbered(0).id, next_event.cancel)
    opening, entries = await statement(store, TENANT, NOVEMBER)
    assert [each.kind for each in entries] == [Kind.RESERVE, Kind.SETTLE]
    assert (opening.counted, opening.reserved_before_micros) == (Sums(), 0)


async def test_a_statement_without_a_counter_is_empty(store: PostgresStore) -> None:
    opening, entries = await statement(store, Owner("studio", "stranger"))
    assert (opening, entries) == (Opening(None, Sums(), 0), [])


async def test_a_statement_is_of_one_moment_and_complete_whatever_is_booked_meanwhile(store: PostgresStore) -> None:
    for number in range(250):
        await make(store, number)
    parts = store.ledger.statement(TENANT, NOVEMBER)
    opening, first = await anext(parts), await anext(parts)
    assert isinstance(opening, Opening) and not isinstance(first, Opening)
    await make(store, 250)
    await store.jobs.record(numbered(249).id, next_event.cancel)
    rest = [entry async for part in parts if not isinstance(part, Opening) for entry in part]
    assert len(first) < 250 and len({each.reference for each in (*first, *rest)}) == len(first) + len(rest) == 250
    assert opening.counted.reserved_micros == Sums().plus([*first, *rest]).reserved_micros == 250_000
