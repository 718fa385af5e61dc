"""PostgresCounterAudits: whether the counters are what was held, used and booked."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.orchestrator.domain.counter_difference import Amounts, Difference, DifferenceKind, LastAudit
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.store import all_counters, changed_counters, rollup_statements, rollups
from services.orchestrator.store.database import Database

LAST = sa.text("SELECT time, differences FROM counter_audits")
# No snapshot is taken for these. So who waited for another audit sees what it has written.
LOCK = sa.text("LOCK TABLE counter_audits IN EXCLUSIVE MODE")
# What has changed is little, also where the statistics say otherwise: no table of old jobs is to be read as a whole.
BY_INDEX = sa.text("SET LOCAL enable_seqscan = off")
AUDITED = sa.text("UPDATE counter_audits SET time = :now, differences = :differences")


class PostgresCounterAudits:
    """The audits of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def changes(self, *, every_s: float) -> LastAudit:
        """Audits what has changed since the last audit, unless one is younger than `every_s`."""
        now = self._clock.now()
        last = await self.last()
        if not _due(last, now, every_s):
            return last
        async with self._database.snapshot() as connection:
            await connection.execute(LOCK)
            await connection.execute(BY_INDEX)
            last = _last((await connection.execute(LAST)).one())
            if not _due(last, now, every_s):
                return last
            await connection.execute(changed_counters.ADD_USED)
            counters = list((await connection.execute(changed_counters.WRONG_COUNTERS)).scalars())
            jobs = list((await connection.execute(changed_counters.WRONG_JOBS)).scalars())
            credits = (await connection.execute(changed_counters.WRONG_CREDITS)).scalar_one()
            await connection.execute(changed_counters.MARK_WRONG, {"counters": counters})
            await connection.execute(changed_counters.KEEP_WRONG, {"jobs": jobs})
            differences = len(counters) + len(jobs) + int(credits)
            await connection.execute(AUDITED, {"now": now, "differences": differences})
        return LastAudit(now, differences)

    async def last(self) -> LastAudit:
        """Returns the newest audit of what had changed."""
        async with self._database.reading() as connection:
            return _last((await connection.execute(LAST)).one())

    async def full(self, *, limit: int) -> Sequence[Difference]:
        """Computes every counter again, and returns the differences, at most so many."""
        found: list[Difference] = []
        async with self._database.snapshot() as connection:
            trial = await connection.begin_nested()  # first, for it begins with a lock; an audit changes nothing
            await rollups.compute(connection, self._clock.now())
            wrong = (await connection.execute(rollup_statements.WRONG, {"limit": limit})).all()
            await trial.rollback()
            for row in wrong:
                amounts = Amounts(used=int(row.used)), Amounts(used=int(row.expected_used))
                measure = f"{row.measure}:model={row.model}"
                found.append(Difference(DifferenceKind.ROLLUP, row.tenant, *amounts, measure=measure))
            for row in await connection.execute(all_counters.HOLDS, {"limit": limit}):
                found.append(
                    Difference(
                        DifferenceKind.HOLDS,
                        row.tenant or "",
                        *_amounts(row),
                        subject=row.subject or "",
                        measure=row.measure or "",
                        period=row.period or "",
                    )
                )
            for row in await connection.execute(all_counters.LEDGER, {"limit": limit}):
                found.append(
                    Difference(
                        DifferenceKind.LEDGER,
                        row.tenant,
                        *_amounts(row, row.credit, row.expected_credit),
                        subject=row.subject,
                    )
                )
            for row in await connection.execute(all_counters.JOBS, {"limit": limit}):
                found.append(Difference(DifferenceKind.JOB, row.tenant, *_amounts(row), job=row.id))
            for row in await connection.execute(all_counters.STORED, {"limit": limit}):
                found.append(
                    Difference(DifferenceKind.ASSETS, row.tenant, *_amounts(row), subject=row.subject, measure="bytes")
                )
        return found[:limit]


def _last(row: sa.Row[Any]) -> LastAudit:
    return LastAudit(row.time, row.differences)


def _due(last: LastAudit, now: datetime, every_s: float) -> bool:
    """Whether it is time for an audit; also if the clock was set back behind the last one."""
    return last.time is None or abs(now - last.time) >= timedelta(seconds=every_s)


def _amounts(row: sa.Row[Any], credit: int = 0, expected_credit: int = 0) -> tuple[Amounts, Amounts]:
    """Returns what was found and expected. Sums come as decimal numbers, and are NULL where there is nothing."""
    found = Amounts(int(row.held or 0), int(row.used or 0), int(credit))
    return found, Amounts(int(row.expected_held), int(row.expected_used), int(expected_credit))
