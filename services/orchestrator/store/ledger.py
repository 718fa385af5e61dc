"""PostgresLedger: the bookings of one database."""

from collections.abc import AsyncGenerator, Sequence

import sqlalchemy as sa

from services.orchestrator.domain.ledger import Entry, Kind
from services.orchestrator.domain.limits.calendar import Period
from services.orchestrator.domain.limits.measure import Spend
from services.orchestrator.domain.usage import Opening, Owner, Sums, UsageGroup, UsageQuery
from services.orchestrator.ports.ledger import Place
from services.orchestrator.store import ledger_sums, row_mapping
from services.orchestrator.store.database import Database
from services.orchestrator.store.schema import ledger_entries

PART = 200
"""Entries of a statement that are in memory at a time."""
READER_S = 120.0
"""How long the reader of a statement may take for a part of it; the server's limit of a paused stream is shorter."""

OPENING = sa.text("""
SELECT "limit", held, used, credit, (
    SELECT coalesce(sum(held), 0) FROM counters
    WHERE tenant = :tenant AND subject = :subject AND measure = :measure AND period < :period
        AND period ~ '^\\d{4}-\\d{2}$'
) AS held_before
FROM (SELECT CAST(:tenant AS text) AS tenant) AS asked
    LEFT JOIN counters ON counters.tenant = asked.tenant AND subject = :subject AND measure = :measure
        AND period = :period
""")


class PostgresLedger:
    """The ledger of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(
        self, owner: Owner, *, limit: int, kind: Kind | None = None, job: str = "", before: Place | None = None
    ) -> Sequence[Entry]:
        """Returns the newest entries, those after the place `before` in the list, the newest first."""
        table = ledger_entries.c
        query = _of(owner)
        if kind is not None:
            query = query.where(table.kind == kind.value)
            if kind not in (Kind.RESERVE, Kind.SETTLE):  # said as the index of the rare kinds says it
                query = query.where(sa.text("kind NOT IN ('reserve', 'settle')"))
        if job:
            query = query.where(table.reference == job)
        order = (table.time, table.reference, table.kind)
        if before is not None:
            query = query.where(sa.tuple_(*order) < sa.tuple_(*map(sa.literal, _values(before))))
        query = query.order_by(*(column.desc() for column in order)).limit(limit)
        async with self._database.reading() as connection:
            return [row_mapping.entry(row) for row in await connection.execute(query)]

    async def sums(
        self, query: UsageQuery, *, after: Sequence[str] | None, limit: int
    ) -> tuple[Sequence[UsageGroup], Sums]:
        """Returns groups whose values come after `after`, in the order of their values, and the sums of all groups."""
        async with self._database.snapshot() as connection:
            total = ledger_sums.sums((await connection.execute(ledger_sums.total(query))).one())
            rows = await connection.execute(ledger_sums.groups(query, after, limit))
            return [ledger_sums.group(row, query) for row in rows], total

    async def statement(self, owner: Owner, month: Period) -> AsyncGenerator[Opening | Sequence[Entry], None]:
        """Yields the opening of a statement, then all entries of a month in small parts."""
        table = ledger_entries.c
        order = (table.period_time, table.reference, table.time, table.kind)
        entries = _of(owner).where(table.period_time >= month.start, table.period_time < month.end)
        entries = entries.order_by(*order).limit(PART)
        subject = "" if owner.user is None else f"user:{owner.user}"
        given = {"tenant": owner.tenant, "subject": subject, "measure": Spend().key, "period": month.key}
        async with self._database.snapshot(idle_s=READER_S) as connection:
            row = (await connection.execute(OPENING, given)).one()
            counted = Sums(row.held or 0, row.used or 0, row.credit or 0)
            yield Opening(row.limit, counted, int(row.held_before))
            query = entries
            while part := [row_mapping.entry(row) for row in await connection.execute(query)]:
                yield part
                last = part[-1]
                place = (last.period_time, last.reference, last.time, last.kind.value)
                query = entries.where(sa.tuple_(*order) > sa.tuple_(*map(sa.literal, place)))


def _of(owner: Owner) -> sa.Select[tuple[object, ...]]:
    query = sa.select(ledger_entries).where(ledger_entries.c.tenant == owner.tenant)
    return query if owner.user is None else query.where(ledger_entries.c.user == owner.user)


def _values(place: Place) -> tuple[object, ...]:
    return place.time, place.reference, place.kind
