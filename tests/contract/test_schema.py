"""What the schema keeps, whatever code writes to it."""

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


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET reserved_micros = budget_micros + 1",
        "UPDATE accounts SET reserved_micros = -1",
        "UPDATE jobs SET charged_micros = 5",
        "UPDATE jobs SET state = 'failed', charged_micros = 0, error = '{}'",  # ended, but never settled
        "UPDATE holds SET settled_micros = 0",  # settled, but not in the ledger
        "UPDATE holds SET settled_micros = amount_micros + 1",
        "UPDATE holds SET amount_micros = -1",
        "UPDATE holds SET job_id = 'another'",
        "UPDATE holds SET account = 0",
        "INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)"
        " SELECT id, 5, now(), 'Progressed', '{}', false FROM jobs",  # a gap
        "INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)"
        " SELECT id, 1, now(), 'Progressed', '{}', false FROM jobs",  # a repeated number
        "INSERT INTO ledger_entries SELECT account, job_id, 'reserve', 1, 0, now() FROM ledger_entries",
        "INSERT INTO ledger_entries SELECT account, job_id, 'settle', -1000, 1001, now() FROM ledger_entries",
        "INSERT INTO ledger_entries SELECT account, job_id, 'refund', 0, 1, now() FROM ledger_entries",
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


async def test_the_database_itself_refuses_to_end_a_job_with_one_of_its_accounts_unsettled(
    store: PostgresStore,
) -> None:
    await admit(store, a_job())
    statements = (
        "INSERT INTO ledger_entries (account, job_id, kind, reserved_micros, spent_micros, time)"
        " SELECT accounts.id, holds.job_id, 'settle', -amount_micros, 0, now()"
        " FROM holds JOIN accounts ON accounts.id = holds.account WHERE accounts.\"user\" = '{user}'",
        "UPDATE holds SET settled_micros = 0 FROM accounts"
        " WHERE accounts.id = holds.account AND accounts.\"user\" = '{user}'",
    )
    end = "UPDATE jobs SET state = 'failed', charged_micros = 0, error = '{}'"
    for user in ("", "ann"):
        with pytest.raises(IntegrityError, match="holds_open"):
            async with store.database.writing() as connection:
                for statement in statements:
                    await connection.execute(sa.text(statement.format(user=user)))
                await connection.execute(sa.text(end))
    async with store.database.writing() as connection:
        for user in ("", "ann"):
            for statement in statements:
                await connection.execute(sa.text(statement.format(user=user)))
        await connection.execute(sa.text(end))


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


async def test_migrating_again_changes_nothing_and_the_migrations_make_the_schema(database: str) -> None:
    migrate(database)
    engine = sa.create_engine(driver_url(database), poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_schemas": False, "compare_server_default": False}
        )
        assert compare_metadata(context, schema.metadata) == []
