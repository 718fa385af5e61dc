"""The migration to holds: with jobs in every state, and with processes of the version before still running."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import IntegrityError

from services.orchestrator.domain import event as events
from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import Body, Failed, JobError, Succeeded, VideoOutput
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Acceptance, Step, Submission
from services.orchestrator.domain.spec import Size
from services.orchestrator.store import database as databases
from services.orchestrator.store.database import driver_url
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import a_job, admit, numbered

HOLDS = sa.text("SELECT job_id, account, amount_micros, settled_micros FROM holds ORDER BY job_id, account")
OUTPUT = VideoOutput("f" * 64, Size(64, 32), 8, 8.0, 1000, 1234)

# What the API and the workers of the version before do.
ADMIT = """
INSERT INTO jobs (id, tenant, "user", request_id, fingerprint, backend, spec, quote_micros, price_micros, state, stage,
    progress, attempt, last_sequence, create_time, expire_time, tenant_account, user_account)
SELECT 'old', tenant, "user", 'old', '', 'test', spec, quote_micros, price_micros, 'queued', 'queued', 0, 0, 1,
    create_time, expire_time, tenant_accounts.id, user_accounts.id
FROM jobs, (SELECT id FROM accounts WHERE "user" = '') AS tenant_accounts,
    (SELECT id FROM accounts WHERE "user" <> '') AS user_accounts
"""
BOOK = "UPDATE accounts SET reserved_micros = reserved_micros + 1000, active_jobs = active_jobs + 1"
RESERVE = """
INSERT INTO ledger_entries (account, job_id, kind, reserved_micros, spent_micros, time)
SELECT id, 'old', 'reserve', 1000, 0, now() FROM accounts
"""
ADMITTED = """
INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)
VALUES ('older', 1, now(), 'Admitted', '{"quote_micros": 1000}', false)
"""
SETTLE = """
INSERT INTO ledger_entries (account, job_id, kind, reserved_micros, spent_micros, time)
SELECT accounts.id, jobs.id, 'settle', -quote_micros, 400, now()
FROM jobs JOIN accounts ON accounts.id IN (tenant_account, user_account) WHERE jobs.id = :id
"""
UNBOOK = """
UPDATE accounts SET reserved_micros = reserved_micros - quote_micros, spent_micros = spent_micros + 400,
    active_jobs = active_jobs - 1
FROM jobs WHERE jobs.id = :id AND accounts.id IN (tenant_account, user_account)
"""
END = "UPDATE jobs SET state = 'cancelled', charged_micros = 400 WHERE id = :id"


def migrated(url: str, move: Callable[[Config, str], None], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(databases.__file__).parent / "migrations"))
    engine = sa.create_engine(driver_url(url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        move(config, revision)


async def rows(store: PostgresStore, query: sa.TextClause) -> list[tuple[object, ...]]:
    async with store.database.reading() as connection:
        return [tuple(row) for row in await connection.execute(query)]


async def run(store: PostgresStore, *statements: str, **given: object) -> None:
    async with store.database.writing() as connection:
        for statement in statements:
            await connection.execute(sa.text(statement), given)


async def in_every_state(store: PostgresStore) -> set[State]:
    """Makes a job for each state, and one that was refunded. Returns the states that the jobs have."""
    submitting, accepted = events.Submitting("vendor"), events.Accepted("vendor")
    start: Callable[[Job], Body | None] = next_event.start
    histories: list[list[Callable[[Job], Body | None]]] = [
        [],
        [start],
        [start, lambda _: events.CancelRequested()],
        [start, lambda _: submitting, next_event.lost],
        [start, lambda _: Succeeded(OUTPUT, 1000)],
        [start, lambda _: Failed(JobError("X", "x", retryable=True), 0)],
        [next_event.cancel],
        [
            start,
            lambda _: submitting,
            lambda _: accepted,
            lambda now: next_event.fail(now, JobError("X", "x", False, True)),
        ],
    ]
    steps: dict[Body, Step] = {submitting: Submission("model"), accepted: Acceptance("task")}
    for number, history in enumerate(histories, start=1):
        job = await admit(store, numbered(number))
        for decide in history:
            body = decide(await store.jobs.get(job.id))
            assert body is not None
            await store.jobs.record(job.id, decide, step=steps.get(body))
    await store.paid_calls.refund(f"{len(histories):032x}")
    page = await store.jobs.page("studio", "ann", state=None, before=None, limit=100)
    return {job.state for job in page}


async def test_jobs_in_every_state_keep_their_bookings_through_the_migration(
    store: PostgresStore, database: str
) -> None:
    assert await in_every_state(store) == set(State)
    before = await rows(store, HOLDS)
    migrated(database, command.downgrade, "0007")
    accounts = await rows(store, sa.text("SELECT id, tenant_account, user_account FROM jobs"))
    assert len(accounts) == 8 and all(None not in each for each in accounts)
    migrated(database, command.upgrade, "head")
    assert await rows(store, HOLDS) == before
    assert await store.counters.audit() == 0
    for job in await store.jobs.page("studio", "ann", state=State.QUEUED, before=None, limit=10):
        await store.jobs.record(job.id, next_event.cancel)
    assert await store.counters.audit() == 0


async def test_a_job_that_the_version_before_admits_is_ended_by_either_version(store: PostgresStore) -> None:
    await admit(store, a_job())
    await run(store, ADMIT, BOOK, RESERVE)
    assert await store.counters.audit() == 0
    older, reserved = (each.replace("'old'", "'older'") for each in (ADMIT, RESERVE))
    await run(store, f"{older} WHERE jobs.id = 'old'", reserved, BOOK, ADMITTED)
    assert await store.counters.audit() == 0
    await run(store, SETTLE, UNBOOK, END, id="old")
    assert await store.counters.audit() == 0
    await store.jobs.record("older", next_event.cancel)
    assert await store.counters.audit() == 0


async def test_a_job_of_this_version_is_ended_by_a_worker_of_the_version_before(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await run(store, SETTLE, UNBOOK, END, id=job.id)
    assert await store.counters.audit() == 0
    assert all(settled == 400 for *_, settled in await rows(store, HOLDS))


async def test_a_worker_of_the_version_before_cannot_end_a_job_without_its_settlement(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    with pytest.raises(IntegrityError, match="holds_open"):
        await run(store, END, id=job.id)
