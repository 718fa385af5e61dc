"""What ServiceSecrets keep: one secret for all processes, in no statement."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.service_secrets import PostgresServiceSecrets


async def test_processes_that_ask_at_the_same_time_get_the_same_secret(store: PostgresStore) -> None:
    processes = [PostgresServiceSecrets(store.database) for _ in range(20)]
    found = await asyncio.gather(*(each.secret("quote-tokens") for each in processes))
    assert len(set(found)) == 1 and len(found[0]) == 32 and len(set(found[0])) > 8


async def test_each_name_has_a_secret_of_its_own(store: PostgresStore) -> None:
    one, other = await store.service_secrets.secret("one"), await store.service_secrets.secret("other")
    assert one != other
    assert await store.service_secrets.secret("one") == one


async def test_a_known_secret_needs_no_database(store: PostgresStore) -> None:
    secret = await store.service_secrets.secret("one")
    async with store.database.writing() as connection:
        await connection.execute(sa.text("DELETE FROM service_secrets"))
    assert await store.service_secrets.secret("one") == secret
    assert await PostgresServiceSecrets(store.database).secret("one") != secret


async def test_a_short_secret_cannot_be_stored(store: PostgresStore) -> None:
    with pytest.raises(IntegrityError):
        async with store.database.writing() as connection:
            await connection.execute(sa.text("INSERT INTO service_secrets (name, secret) VALUES ('x', '\\x00')"))
