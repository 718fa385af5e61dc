"""The connections to the database: the effect of one process's locks on another."""

import asyncio
import logging

import pytest
import sqlalchemy as sa

from services.errors import Unavailable
from services.orchestrator.store.database import Database

NOTICES = {"keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
LOCK = sa.text("SELECT pg_advisory_xact_lock(1)")


async def test_a_process_that_stands_still_inside_a_transaction_does_not_keep_its_locks(database: str) -> None:
    still, other = Database(database, pool_size=1, still_s=1), Database(database, pool_size=1)
    locked: list[bool] = []
    with pytest.raises(Unavailable):
        async with still.writing() as connection:
            await connection.execute(LOCK)
            async with asyncio.timeout(30), other.writing() as waiting:
                await waiting.execute(LOCK)
                locked.append(True)
    assert locked
    async with still.writing() as connection:
        await connection.execute(LOCK)
    await still.close()
    await other.close()


async def test_a_snapshot_may_be_idle_for_as_long_as_it_says_and_only_this_one(database: str) -> None:
    still = Database(database, pool_size=1, still_s=1)
    allowed = sa.text("SHOW idle_in_transaction_session_timeout")
    async with still.snapshot(idle_s=90) as connection:
        assert (await connection.execute(allowed)).scalar_one() == "90s"
    async with still.snapshot() as connection:
        assert (await connection.execute(allowed)).scalar_one() == "1s"
    await still.close()


async def test_a_search_is_planned_for_its_own_values_however_often_it_is_repeated(database: str) -> None:
    connections = Database(database, pool_size=1)
    search = sa.text("SELECT count(*) FROM pg_class WHERE relname = CAST(:name AS name)")
    plans = sa.text(
        "SELECT generic_plans, custom_plans > 5 FROM pg_prepared_statements WHERE statement LIKE '%relname%'"
    )
    for _ in range(20):
        async with connections.limited(5) as connection:
            await connection.execute(search, {"name": "jobs"})
            await connection.commit()  # after a rollback the driver prepares again
    async with connections.reading() as connection:
        assert (await connection.execute(plans)).one() == (0, True)
    await connections.close()


async def test_a_server_that_is_gone_without_a_word_is_noticed_by_every_connection(database: str) -> None:
    """Without these settings of libpq a statement waits a quarter of an hour for such a server."""
    connections = Database(database, pool_size=1)
    async with connections.reading() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        assert driver.info.get_parameters().keys() >= NOTICES
    await connections.close()


async def test_the_drivers_own_connection_that_broke_is_replaced_without_a_fault_in_the_log(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    connections = Database(database, pool_size=1)
    with pytest.raises(Unavailable):
        async with connections.direct() as direct:
            await direct.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    async with connections.direct() as direct:
        await direct.execute("SELECT 1")
    await connections.close()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_an_unreachable_database_is_unavailable() -> None:
    database = Database("postgresql://user@127.0.0.1:9/none", pool_size=1)
    with pytest.raises(Unavailable):
        await database.check()
    await database.close()
