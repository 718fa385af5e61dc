"""PostgresRenditions: which renditions there are, which could not be made, and who is making one."""

from collections.abc import Sequence

import sqlalchemy as sa

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.rendition import Rendition, Variant
from services.orchestrator.ports.renditions import NotMade
from services.orchestrator.store.database import Database

CLAIM_S = 15.0
"""A claim that its maker has not renewed for so long is free: the maker was killed."""
FAILED_S = 600.0
"""So long a failed rendition is not tried again."""

FIND = sa.text("""
SELECT media_type, size_bytes, width, height, reason, create_time < now() - make_interval(secs => :failed_s) AS old
FROM renditions WHERE tenant = :tenant AND sha256 = :sha256 AND variant = :variant
""")
CLAIM = sa.text("""
WITH mine AS MATERIALIZED (SELECT CAST(gen_random_uuid() AS text) AS claim)
INSERT INTO renditions AS known (tenant, sha256, variant, claim, create_time)
SELECT :tenant, :sha256, variant, mine.claim, now() FROM mine, unnest(CAST(:variants AS text[])) AS variant
WHERE EXISTS (SELECT FROM assets WHERE tenant = :tenant AND sha256 = :sha256)
ON CONFLICT (tenant, sha256, variant) DO UPDATE SET claim = excluded.claim, reason = NULL, create_time = now()
WHERE known.media_type IS NULL AND (
    num_nonnulls(known.claim, known.reason) = 0
    OR known.create_time < now() - make_interval(
        secs => CASE WHEN known.reason IS NULL THEN CAST(:claim_s AS double precision) ELSE :failed_s END))
RETURNING claim
""")
RENEW = sa.text("UPDATE renditions SET create_time = now() WHERE claim = :claim")
FINISH = sa.text("""
UPDATE renditions SET media_type = made.media_type, size_bytes = made.size_bytes, width = made.width,
    height = made.height, claim = NULL, create_time = now()
FROM unnest(CAST(:variants AS text[]), CAST(:media_types AS text[]), CAST(:sizes AS bigint[]),
    CAST(:widths AS integer[]), CAST(:heights AS integer[])) AS made (variant, media_type, size_bytes, width, height)
WHERE claim = :claim AND renditions.variant = made.variant
RETURNING tenant, sha256
""")
HASH = sa.text("""
UPDATE library_entries SET phash = :phash FROM assets
WHERE assets.tenant = :tenant AND assets.sha256 = :sha256 AND library_entries.tenant = assets.tenant
    AND library_entries."user" = assets."user" AND library_entries.sha256 = assets.sha256
    AND library_entries.phash IS NULL
""")
FAIL = sa.text("UPDATE renditions SET reason = :why, claim = NULL, create_time = now() WHERE claim = :claim")
RELEASE = sa.text("DELETE FROM renditions WHERE claim = :claim")
WANTED = sa.text("SELECT EXISTS (SELECT FROM assets WHERE tenant = :tenant AND sha256 = :sha256)")
WITHDRAW = sa.text("UPDATE renditions SET claim = NULL WHERE tenant = :tenant AND sha256 = :sha256 RETURNING variant")
FORGET = sa.text("DELETE FROM renditions WHERE tenant = :tenant AND sha256 = :sha256")


class PostgresRenditions:
    """The renditions of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, tenant: str, sha256: str, variant: Variant) -> Rendition | NotMade | None:
        """Returns a rendition, or why it could not be made lately; None: it may be made now, or is being made."""
        key = {"tenant": tenant, "sha256": sha256, "variant": variant, "failed_s": FAILED_S}
        async with self._database.reading() as connection:
            row = (await connection.execute(FIND, key)).one_or_none()
        if row is None:
            return None
        if row.media_type is not None:
            return Rendition(variant, row.media_type, row.size_bytes, row.width, row.height)
        return NotMade(row.reason) if row.reason is not None and not row.old else None

    async def claim(self, asset: Asset, variants: Sequence[Variant]) -> str | None:
        """Claims the making of variants for a while; None if they are made, or another has them."""
        key = {"tenant": asset.tenant, "sha256": asset.sha256, "variants": list(variants)}
        limits = {"claim_s": CLAIM_S, "failed_s": FAILED_S}
        async with self._database.reading() as connection:
            return (await connection.execute(CLAIM, key | limits)).scalars().first()

    async def renew(self, claim: str) -> bool:
        """Extends a claim. Returns whether it still holds."""
        async with self._database.reading() as connection:
            return (await connection.execute(RENEW, {"claim": claim})).rowcount > 0

    async def finish(self, claim: str, made: Sequence[Rendition], phash: int | None) -> bool:
        """Records what a claim has made. Returns False, with nothing recorded, if the claim does not hold."""
        values = {
            "claim": claim,
            "variants": [each.variant for each in made],
            "media_types": [each.media_type for each in made],
            "sizes": [each.size_bytes for each in made],
            "widths": [each.width for each in made],
            "heights": [each.height for each in made],
        }
        async with self._database.writing() as connection:
            rows = (await connection.execute(FINISH, values)).all()
            if rows and phash is not None:
                key = {"tenant": rows[0].tenant, "sha256": rows[0].sha256}
                await connection.execute(HASH, key | {"phash": phash})
        return bool(rows)

    async def fail(self, claim: str, why: str) -> None:
        """Records why a claim has made nothing."""
        async with self._database.reading() as connection:
            await connection.execute(FAIL, {"claim": claim, "why": why})

    async def release(self, claim: str) -> None:
        """Gives up a claim, so that another may take it immediately."""
        async with self._database.reading() as connection:
            await connection.execute(RELEASE, {"claim": claim})

    async def wanted(self, tenant: str, sha256: str) -> bool:
        """Returns whether any user of the tenant has the asset."""
        async with self._database.reading() as connection:
            return bool((await connection.execute(WANTED, {"tenant": tenant, "sha256": sha256})).scalar_one())

    async def withdraw(self, tenant: str, sha256: str) -> tuple[Variant, ...]:
        """Ends all claims of a digest. Returns the variants of which bytes may be stored."""
        async with self._database.reading() as connection:
            rows = await connection.execute(WITHDRAW, {"tenant": tenant, "sha256": sha256})
            return tuple(Variant(row.variant) for row in rows)

    async def forget(self, tenant: str, sha256: str) -> None:
        """Removes all rows of a digest."""
        async with self._database.reading() as connection:
            await connection.execute(FORGET, {"tenant": tenant, "sha256": sha256})
