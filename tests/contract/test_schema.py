"""Invariants that the schema enforces, independent of the code that writes."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from services.orchestrator.domain import next_event
from services.orchestrator.store import schema
from services.orchestrator.store.database import driver_url, migrate
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import a_job, admit


def an_entry(kind: str, reserved: int, spent: int = 0, credit: int = 0, reason: str = "NULL") -> str:
    """Returns a statement that enters a booking of the job into the ledger."""
    return (
        'INSERT INTO ledger_entries (reference, kind, tenant, "user", key, model, operation, capability, card_version,'
        " quote_id, reserved_micros, spent_micros, credit_micros, reason, actor, period_time, time)"
        f" SELECT reference, '{kind}', tenant, \"user\", key, model, operation, capability, card_version, quote_id,"
        f" {reserved}, {spent}, {credit}, {reason}, {reason}, now(), now() FROM ledger_entries"
    )


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE counters SET held = "limit" + 1',
        'UPDATE counters SET held = "limit" + credit + 1',
        "UPDATE counters SET credit = -1000000, held = 1",
        "UPDATE counters SET held = -1",
        "UPDATE counters SET used = -1",
        "UPDATE jobs SET charged_micros = 5",
        "UPDATE jobs SET state = 'failed', charged_micros = 0, error = '{}'",  # ended, but never settled
        "UPDATE holds SET settled = '{0,0,0,0}'",  # settled, but neither in the ledger nor ended
        "UPDATE holds SET settled = '{0,0,0}'",
        "UPDATE holds SET settled = '{0,0,0,NULL}'",
        "UPDATE holds SET settled = '{0,0,0,-1}'",
        "UPDATE holds SET amounts = '{0,0,0}'",
        "UPDATE holds SET amounts = '{0,0,0,-1}'",
        "UPDATE holds SET measures = '{}'",
        "UPDATE holds SET job_id = 'another'",
        "DELETE FROM holds",
        "INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)"
        " SELECT id, 5, now(), 'Progressed', '{}', false FROM jobs",  # a gap
        "INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)"
        " SELECT id, 1, now(), 'Progressed', '{}', false FROM jobs",  # a repeated number
        an_entry("reserve", 1),  # reserved again
        an_entry("settle", -1000, 1001),  # more than was reserved
        an_entry("refund", 0, 1),
        an_entry("credit", 0, 0, -1, reason="'x'"),
        an_entry("debit", 0, 0, 1, reason="'x'"),
        an_entry("credit", 0, 0, 1),  # without a reason
        "UPDATE jobs SET call = 'charged'",  # paid, but not ended
        "UPDATE jobs SET refunded_micros = 1",  # more than was charged
        "UPDATE jobs SET price_micros = quote_micros + 1",
        # ended without paying for what may be paid for
        "UPDATE jobs SET state = 'cancelled', charged_micros = 0, call = 'accepted'",
        "UPDATE jobs SET state = 'cancelled', charged_micros = 0, call = 'charged'",
    ],
)
async def test_the_database_itself_refuses_to_break_an_invariant(store: PostgresStore, statement: str) -> None:
    await admit(store, a_job())
    with pytest.raises(IntegrityError):
        async with store.database.writing() as connection:
            await connection.execute(sa.text(statement))


async def test_the_database_itself_ends_a_job_and_settles_its_holds_only_together(store: PostgresStore) -> None:
    await admit(store, a_job())
    enter, settle = an_entry("settle", -1000), "UPDATE holds SET settled = '{0,0,0,0}'"
    end = "UPDATE jobs SET state = 'failed', charged_micros = 0, error = '{}'"
    for some in ([end], [enter, end], [enter, settle]):
        with pytest.raises(IntegrityError, match="jobs_held"):
            async with store.database.writing() as connection:
                for statement in some:
                    await connection.execute(sa.text(statement))
    async with store.database.writing() as connection:
        for statement in (enter, settle, end):
            await connection.execute(sa.text(statement))


def a_call(submission: str, attempt: int, state: str, reference: str = "NULL") -> str:
    settled = "now()" if state in ("charged", "released") else "NULL"
    return (
        "INSERT INTO paid_calls (submission_id, job_id, attempt, provider, model, state, external_ref, submit_time,"
        f" settle_time) SELECT '{submission}', id, {attempt}, 'vendor', 'm', '{state}', {reference}, now(), {settled}"
        " FROM jobs"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (a_call("a", 1, "submitting"), a_call("b", 2, "submitting")),  # one while another may cost money
        (a_call("a", 1, "accepted", "'t'"), a_call("b", 2, "submitting")),
        (a_call("a", 1, "charged", "'t'"), a_call("b", 2, "submitting")),
        (a_call("a", 1, "released"), a_call("b", 1, "submitting")),  # two of one attempt
        (a_call("a", 1, "released", "'t'"), a_call("b", 2, "accepted", "'t'")),  # one task for two
        ("SELECT 1", a_call("a", 1, "accepted")),  # accepted by no reference
        ("SELECT 1", a_call("a", 1, "submitting", "'t'")),
    ],
)
async def test_the_database_itself_refuses_to_pay_twice(store: PostgresStore, first: str, second: str) -> None:
    await admit(store, a_job())
    async with store.database.writing() as connection:
        await connection.execute(sa.text(first))
    with pytest.raises(IntegrityError):
        async with store.database.writing() as connection:
            await connection.execute(sa.text(second))


async def test_the_database_itself_refuses_an_event_after_a_terminal_one(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.cancel)
    with pytest.raises(IntegrityError):
        async with store.database.writing() as connection:
            await connection.execute(
                sa.text(
                    "INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)"
                    " SELECT id, 3, now(), 'Progressed', '{}', false FROM jobs"
                )
            )


async def test_a_second_migration_changes_nothing_and_the_migrations_make_the_schema(database: str) -> None:
    migrate(database)
    engine = sa.create_engine(driver_url(database), poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_schemas": False, "compare_server_default": False}
        )
        assert compare_metadata(context, schema.metadata) == []
