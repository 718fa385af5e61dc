"""What became of the jobs of an installation, as its database has it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.store.counter_audits import PostgresCounterAudits
from services.orchestrator.store.database import Database

STATES = sa.text("SELECT id, state, ended FROM jobs")
NOT_SETTLED_ONCE = sa.text("""
SELECT jobs.id FROM jobs
LEFT JOIN ledger_entries ON ledger_entries.reference = jobs.id AND ledger_entries.kind = 'settle'
WHERE jobs.ended GROUP BY jobs.id HAVING count(ledger_entries.reference) <> 1
""")
NOT_ENDED_ONCE = sa.text("""
SELECT job_id FROM job_events GROUP BY job_id
HAVING count(*) FILTER (WHERE terminal) <> 1 OR max(sequence) <> count(*)
""")
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found."""

    states: Mapping[str, int]
    """Number of jobs by state."""
    problems: list[str] = field(default_factory=list)
    """One line each; empty: nothing was lost, and each job was settled once."""


async def outcome(url: str, admitted: Collection[str]) -> Outcome:
    """Compares the database with the jobs, `jobs/{id}`, that callers know as admitted. All of them must have ended."""
    database = Database(url, pool_size=1)
    try:
        async with database.reading() as connection:
            jobs = {row.id: row for row in await connection.execute(STATES)}
            settled = (await connection.execute(NOT_SETTLED_ONCE)).scalars().all()
            ended = (await connection.execute(NOT_ENDED_ONCE)).scalars().all()
        differences = await PostgresCounterAudits(database, SystemClock()).full(limit=MOST_NAMED)
    finally:
        await database.close()
    states: dict[str, int] = {}
    for row in jobs.values():
        states[row.state] = states.get(row.state, 0) + 1
    found = {
        "admitted jobs that are not in the database": [each for each in admitted if each.partition("/")[2] not in jobs],
        "jobs that have not ended": [row.id for row in jobs.values() if not row.ended],
        "jobs that failed": [row.id for row in jobs.values() if row.state == "failed"],
        "jobs that are not settled once": settled,
        "jobs without exactly one end, or with a gap in their events": ended,
        "differences of the audit": [str(each) for each in differences],
    }
    problems = [f"{len(those)} {what}: {', '.join(those[:MOST_NAMED])}" for what, those in found.items() if those]
    return Outcome(states, problems)
