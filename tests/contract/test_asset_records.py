"""What Assets keep."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.errors import NotFound
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, a_caller


async def test_a_user_sees_neither_another_users_nor_another_tenants_assets(store: PostgresStore) -> None:
    asset = Asset("studio", "ann", "a" * 64, 10, PictureInfo("image/png", 64, 64), NOON)
    await store.assets.put(asset, a_caller())
    for tenant, user in (("studio", "bob"), ("story", "ann")):
        with pytest.raises(NotFound):
            await store.assets.get(asset.sha256, tenant=tenant, user=user)
    assert await store.assets.get(asset.sha256, tenant="studio", user="ann") == asset


async def test_an_asset_noted_twice_is_the_first(store: PostgresStore) -> None:
    asset = Asset("studio", "ann", "a" * 64, 10, PictureInfo("image/png", 64, 64), NOON)
    await store.assets.put(asset, a_caller())
    assert await store.assets.put(replace(asset, create_time=NOON + timedelta(days=1)), a_caller()) == asset
