"""The migration of tenants and keys, with those of the version before."""

from datetime import UTC, date, datetime

import sqlalchemy as sa
from alembic import command

from services.orchestrator.api.authentication import digest
from services.orchestrator.domain.api_key import USUAL
from services.orchestrator.domain.tenant import Tenant
from services.orchestrator.ports.credentials import TenantAccess
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.migrations import migrated

CREATED = datetime(2025, 3, 31, 23, tzinfo=UTC)


async def test_a_key_of_the_version_before_works_with_the_usual_scopes(store: PostgresStore, database: str) -> None:
    async with store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE tenants SET create_time = :time"), {"time": CREATED})
        await connection.execute(sa.text("UPDATE api_keys SET create_time = :time"), {"time": CREATED})
    migrated(database, command.downgrade, "0009")
    migrated(database, command.upgrade, "head")
    found = await store.credentials.of_key(digest("studio-key"))
    assert isinstance(found, TenantAccess) and found.key is not None
    assert found.tenant == Tenant("studio", "test", anniversary=date(2025, 3, 31), create_time=CREATED)
    assert (found.key.scopes, found.key.expire_time, found.key.create_time) == (USUAL, None, CREATED)
    assert found.key.works_at(CREATED)


async def test_going_back_gives_no_ended_key_back(store: PostgresStore, database: str) -> None:
    async with store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE api_keys SET revoke_time = now() WHERE tenant = 'studio'"))
        await connection.execute(sa.text("UPDATE tenants SET state = 'suspended' WHERE id = 'story'"))
    migrated(database, command.downgrade, "0009")
    async with store.database.reading() as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM api_keys"))).scalar_one() == 0
    migrated(database, command.upgrade, "head")
