"""Stored bytes: each asset is counted once, for its tenant and for its user, in the statement that stores it."""

import json
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.limits.hold import Hold
from services.orchestrator.store import library_entries, row_mapping, usage_warnings, webhook_outbox
from services.orchestrator.store.driver_statement import driver_statement

COLUMNS = (
    'tenant, "user", sha256, size_bytes, media_type, width, height, frames, fps, duration_s, audio_s, sample_rate,'
    " channels, promised, create_time, kept"
)
VALUES = """
    :tenant, :user, :sha256, {size}, :media_type, CAST(:width AS integer), CAST(:height AS integer),
    CAST(:frames AS integer), CAST(:fps AS double precision), CAST(:duration_s AS double precision),
    CAST(:audio_s AS double precision), CAST(:sample_rate AS integer), CAST(:channels AS integer),
    CAST(:promised AS jsonb), CAST(:create_time AS timestamptz), {kept}
"""
SIZE_IF_ALL_TAKEN = (
    "CASE WHEN (SELECT count(*) FROM taken) = (SELECT count(*) FROM asked) THEN CAST(:size_bytes AS bigint) END"
)
STORED_BEFORE = ("assets_pkey", "library_entries_tenant_user_sha256_key")
RAISED = 'RETURNING id, period, used + held AS counted, "limit" + credit AS most'

# An asset for which a counter has no room gets no size, which the schema forbids. One that is stored already violates
# its key. Either way PostgreSQL undoes all of it.
UPLOAD = sa.text(f"""
WITH asked AS (
    SELECT * FROM unnest(CAST(:subjects AS text[]), CAST(:limits AS bigint[]))
        WITH ORDINALITY AS limits (subject, most, place)
), taken AS (
    INSERT INTO counters AS counter (tenant, subject, measure, period, "limit", used, held, credit)
    SELECT :tenant, subject, 'bytes', '', most, CAST(:size_bytes AS bigint), 0,
        greatest(0, CAST(:size_bytes AS bigint) - most)
    FROM asked
    -- As for jobs: a counter that does not exist yet has no credit.
    WHERE most IS NULL OR CAST(:size_bytes AS bigint) <= most OR EXISTS (
        SELECT FROM counters AS credited WHERE credited.tenant = :tenant AND credited.subject = asked.subject
            AND credited.measure = 'bytes' AND credited.period = '' AND credited.credit > 0
    )
    ORDER BY place
    ON CONFLICT (tenant, subject, measure, period) DO UPDATE SET
        "limit" = excluded."limit", used = counter.used + excluded.used
    WHERE excluded."limit" IS NULL
        OR counter.used + counter.held + excluded.used <= excluded."limit" + counter.credit
    {RAISED}
), warned AS ({usage_warnings.RAISE}), stored AS (
    INSERT INTO assets ({COLUMNS}) SELECT {VALUES.format(size=SIZE_IF_ALL_TAKEN, kept="true")}
), entry AS ({library_entries.OF_UPLOAD})
{webhook_outbox.of_asset("asset.created", "'cause', 'uploaded'")}
""")

# What a job makes never fails for its size. Where it passes the limit, the counter's own limit is raised with it; the
# plan's comes again with the next upload, which is then refused.
NOTE = sa.text(f"""
WITH stored AS (
    INSERT INTO assets ({COLUMNS}) SELECT {VALUES.format(size="CAST(:size_bytes AS bigint)", kept="false")}
    ON CONFLICT DO NOTHING RETURNING size_bytes
), shown AS (
    UPDATE assets SET hidden = false WHERE tenant = :tenant AND "user" = :user AND sha256 = :sha256 AND hidden
), taken AS (
    INSERT INTO counters AS counter (tenant, subject, measure, period, "limit", used, held, credit)
    SELECT :tenant, subject, 'bytes', '', NULL, size_bytes, 0, 0
    FROM stored, unnest(ARRAY['', 'user:' || CAST(:user AS text)]) WITH ORDINALITY AS each (subject, place)
    ORDER BY place
    ON CONFLICT (tenant, subject, measure, period) DO UPDATE SET
        used = counter.used + excluded.used,
        "limit" = CASE WHEN counter."limit" IS NOT NULL THEN
            greatest(counter."limit", counter.used + counter.held + excluded.used - counter.credit) END
    {RAISED}
)
{usage_warnings.RAISE}
""")

NOTE_OF_DRIVER = driver_statement(NOTE.text).encode()

FORGET = sa.text("""
WITH locked AS (
    SELECT id FROM counters
    WHERE tenant = :tenant AND subject IN ('', 'user:' || CAST(:user AS text)) AND measure = 'bytes'
    ORDER BY subject FOR UPDATE
)
UPDATE counters SET used = used - CAST(:size_bytes AS bigint) FROM locked WHERE counters.id = locked.id
""")


async def upload(connection: AsyncConnection, asset: Asset, details: Details, holds: list[Hold]) -> bool:
    """Stores and counts an asset, and makes its entry in the library, or nothing of it.

    Returns False if it was stored before, or a counter has no room for it.
    `holds` are the limits of stored bytes, in the order of their counters' names. The connection commits by itself.
    """
    limits = {"subjects": [hold.counter.subject for hold in holds], "limits": [hold.most for hold in holds]}
    try:
        await connection.execute(UPLOAD, _values(asset) | library_entries.details_columns(details) | limits)
    except IntegrityError as error:
        broken = error.orig.diag if isinstance(error.orig, psycopg.Error) else None
        if broken is None or (broken.constraint_name not in STORED_BEFORE and broken.column_name != "size_bytes"):
            raise
        return False
    return True


async def note(connection: AsyncConnection, asset: Asset) -> None:
    """Stores and counts what a job made, unless it was stored before, in the job's transaction."""
    await connection.execute(NOTE, _values(asset))


async def note_and_commit(connection: AsyncConnection, asset: Asset) -> None:
    """Does what `note` does, as the last statement of the transaction, and commits in the same round trip.

    The counter of the tenant is then locked only while the database works. If it were locked over a way to this
    process and back, all fragments of a busy tenant would wait for each other. Raises the driver's errors.
    A connection that is interrupted in between is given up: an answer that it has not read would be taken for that of
    the next statement.
    """
    assert connection.sync_connection is not None
    driver = cast("psycopg.AsyncConnection[Any]", connection.sync_connection.connection.driver_connection)
    try:
        async with driver.pipeline():
            await driver.execute(NOTE_OF_DRIVER, _values(asset))
            await driver.commit()
    except BaseException:
        await connection.invalidate()
        raise


async def forget(connection: AsyncConnection, tenant: str, user: str, size_bytes: int) -> None:
    """Lowers the counters by the sizes of assets that this transaction deletes."""
    await connection.execute(FORGET, {"tenant": tenant, "user": user, "size_bytes": size_bytes})


def _values(asset: Asset) -> dict[str, Any]:
    columns = row_mapping.asset_columns(asset)
    promised = json.dumps(columns["promised"]) if columns["promised"] else None
    phash = getattr(asset.info, "phash", None)
    return columns | {"promised": promised, "phash": phash, "now": asset.create_time}
