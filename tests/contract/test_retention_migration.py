"""The migration to retention and back, of a database with jobs."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import IntegrityError

from services.orchestrator.domain.job import State
from services.orchestrator.store import database as databases
from services.orchestrator.store.database import driver_url, migrate
from services.orchestrator.store.migrations.versions import m0012_retention
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import FakeClock, numbered
from tests.support.old_jobs import Bytes, run_job, sequences

GAP = "UPDATE job_events SET sequence = sequence + 1 WHERE kind = 'Failed'"
AFTER_THE_END = (
    "INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)"
    " SELECT job_id, sequence + 1, now(), 'Progressed', '{}', false FROM job_events WHERE terminal"
)


def go_back(url: str) -> None:
    """Brings the schema to that of the version before."""
    config = Config()
    config.set_main_option("script_location", str(Path(databases.__file__).parent / "migrations"))
    engine = sa.create_engine(driver_url(url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, str(m0012_retention.down_revision))


async def test_events_stay_chained_through_the_migration_and_back(
    store: PostgresStore, database: str, clock: FakeClock, tmp_path: Path
) -> None:
    job = await run_job(store, clock, Bytes(tmp_path), numbered(1), state=State.FAILED, fragments=("a",))
    events = await sequences(store, job.id)
    for move in (go_back, migrate):
        move(database)
        assert await sequences(store, job.id) == events
        for broken in (GAP, AFTER_THE_END):
            with pytest.raises(IntegrityError):
                async with store.database.writing() as connection:
                    await connection.execute(sa.text(broken))
    assert await store.jobs.get(job.id) == job
