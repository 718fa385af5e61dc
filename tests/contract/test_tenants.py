"""What Tenants know of API keys."""

import pytest
import sqlalchemy as sa

from services.orchestrator.api.api_key_cache import digest
from services.orchestrator.ports.tenants import Tenant
from services.orchestrator.store import schema
from services.orchestrator.store.postgres_store import PostgresStore


async def test_keys_are_known_by_digest_alone(store: PostgresStore) -> None:
    async with store.database.reading() as connection:
        kept = str((await connection.execute(sa.select(schema.api_keys))).all())
    assert "studio-key" not in kept
    assert await store.tenants.of_key("0" * 64) is None


async def test_a_key_names_its_tenant_with_the_newest_plan(store: PostgresStore) -> None:
    assert await store.tenants.of_key(digest("studio-key")) == Tenant("studio", "test")
    await store.tenants.put("studio", "large", digest("another-key"))
    for key in ("studio-key", "another-key"):
        assert await store.tenants.of_key(digest(key)) == Tenant("studio", "large")


@pytest.mark.parametrize("tenant", ["", "Studio", "a/b", "-a", "a" * 64])
async def test_a_tenants_id_is_fit_for_the_keys_of_blobs(store: PostgresStore, tenant: str) -> None:
    with pytest.raises(ValueError, match="tenant's id"):
        await store.tenants.put(tenant, "test", digest("key"))
