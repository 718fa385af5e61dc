"""PostgresAssets: what is known of assets, and whether there is room for more."""

import sqlalchemy as sa

from services.errors import NotFound, Unavailable
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.library_details import NO_DETAILS, Details
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.limits import denial
from services.orchestrator.domain.limits.hold import holds_of_upload
from services.orchestrator.domain.limits.measure import StoredBytes
from services.orchestrator.ports.counters import Counters
from services.orchestrator.store import library_entries, row_mapping, stored_bytes, trash_statements
from services.orchestrator.store.database import Database
from services.orchestrator.store.schema import assets
from services.reasons import RequestReason


class PostgresAssets:
    """The assets of one database."""

    def __init__(self, database: Database, counters: Counters) -> None:
        self._database = database
        self._counters = counters

    async def check(self, sha256: str, size_bytes: int, caller: Caller) -> None:
        """Raises QuotaExceeded if an upload of this size would pass a limit, unless it is stored already."""
        if all(limit.most is None for limit in caller.plan.limits if limit.measure == StoredBytes()):
            return  # without a look at the counters
        statuses = await self._counters.status(caller)
        if denied := denial.of_upload(statuses, size_bytes, caller.plan, caller.calendar.time_zone):
            try:
                await self.get(sha256, tenant=caller.tenant, user=caller.user, also_hidden=True)
            except NotFound:
                raise denied from None

    async def put(self, asset: Asset, caller: Caller, details: Details = NO_DETAILS) -> Asset:
        """Stores an uploaded asset, and counts its bytes; the one stored first is kept and returned."""
        async with self._database.reading() as connection:
            if await stored_bytes.upload(connection, asset, details, holds_of_upload(asset, caller)):
                return asset
        try:
            return await self._keep(asset)
        except NotFound:
            await self.check(asset.sha256, asset.size_bytes, caller)
        # Between the refusal and this look something was deleted: now it fits.
        raise Unavailable("A limit changed during the upload. Try again.", reason=RequestReason.BUDGET_CONTENDED)

    async def _keep(self, asset: Asset) -> Asset:
        """Returns an asset that is stored already; uploaded now, it is kept also when a job's fragments are removed."""
        where = (assets.c.tenant == asset.tenant, assets.c.user == asset.user, assets.c.sha256 == asset.sha256)
        async with self._database.writing() as connection:
            key = EntryKey(asset.tenant, asset.user, asset.sha256)
            await trash_statements.lock(connection, key)
            changed = sa.update(assets).where(*where, ~assets.c.kept | assets.c.hidden)
            await connection.execute(changed.values(kept=True, hidden=False))
            await library_entries.again(connection, asset)
            await trash_statements.restore(connection, key, asset.create_time)
        return await self.get(asset.sha256, tenant=asset.tenant, user=asset.user)

    async def get(self, sha256: str, *, tenant: str, user: str, also_hidden: bool = False) -> Asset:
        """Returns what is known of an asset if it is this user's. Raises NotFound."""
        query = sa.select(assets).where(assets.c.tenant == tenant, assets.c.user == user, assets.c.sha256 == sha256)
        if not also_hidden:
            query = query.where(~assets.c.hidden)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("asset", f"assets/{sha256}")
        return row_mapping.asset(row)

    async def is_stored(self, sha256: str, *, tenant: str) -> bool:
        """Whether any user of the tenant has such an asset, in any state."""
        query = sa.select(sa.exists().where(assets.c.tenant == tenant, assets.c.sha256 == sha256))
        async with self._database.reading() as connection:
            return bool((await connection.execute(query)).scalar_one())
