"""The list of a tenant's users, on a real PostgreSQL."""

from dataclasses import replace

import pytest

from services.errors import NotFound
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.collection import CollectionKey
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, a_caller, a_job, admit

PICTURE = Asset("studio", "ann", "a" * 64, 10, PictureInfo("image/png", 64, 64), NOON)


async def test_users_are_all_who_have_anything_each_once_and_by_name(store: PostgresStore) -> None:
    assert await store.tenants.users("studio", after="", limit=10) == []
    await store.assets.put(replace(PICTURE, user="with an asset"), a_caller("with an asset"))
    await store.assets.put(replace(PICTURE, user="both"), a_caller("both"))
    await store.collections.create(CollectionKey("studio", "with a collection", "roofs"), "Roofs", "", NOON)
    await admit(store, a_job(user="with a job"))
    await admit(store, a_job(id="1" * 32, user="both"))
    await admit(store, a_job(id="2" * 32, user="of another", tenant="story"))
    everyone = ["both", "with a collection", "with a job", "with an asset"]
    assert await store.tenants.users("studio", after="", limit=10) == everyone
    assert await store.tenants.users("studio", after="", limit=3) == everyone[:3]
    assert await store.tenants.users("studio", after="with a collection", limit=3) == everyone[2:]
    assert await store.tenants.users("studio", after="with an asset", limit=3) == []


async def test_the_users_of_an_unknown_tenant_are_not_found(store: PostgresStore) -> None:
    with pytest.raises(NotFound):
        await store.tenants.users("nowhere", after="", limit=10)
