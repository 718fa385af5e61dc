"""The statements that delete what belongs to one user, in bounded batches."""

import sqlalchemy as sa

from services.orchestrator.store import purge
from services.orchestrator.store.schema import ENDED

OF_USER = 'tenant = :tenant AND "user" = :user'

COUNT = sa.text("""
UPDATE user_deletions SET entries = entries + :entries, size_bytes = size_bytes + :size_bytes, jobs = jobs + :jobs,
    collections = collections + :collections, uploads = uploads + :uploads, bookings = bookings + :bookings
WHERE tenant = :tenant AND id = :deletion
""")
UNFINISHED = sa.text(f"SELECT id FROM jobs WHERE {OF_USER} AND state NOT IN {ENDED} ORDER BY id LIMIT :limit")

MEMBERS = sa.text(f"""
DELETE FROM collection_members WHERE (collection, entry) IN (
    SELECT collection, entry FROM collection_members JOIN collections ON number = collection
    WHERE {OF_USER} LIMIT :limit
)
""")
COLLECTIONS = sa.text(f"""
DELETE FROM collections WHERE number IN (SELECT number FROM collections WHERE {OF_USER} LIMIT :limit)
""")

# A query of its own, because a join of the deletion with it would compare each asset with each chosen one.
UNUSED_ASSETS = sa.text(f"""
SELECT sha256 FROM assets WHERE {OF_USER} AND NOT {purge.IN_USE.format(sha256="assets.sha256")}
ORDER BY sha256 LIMIT :limit FOR UPDATE
""")
# The manifest goes with its asset. The collector looks by itself whether another user has the same bytes.
ASSETS = sa.text(f"""
WITH entries AS (
    DELETE FROM library_entries WHERE {OF_USER} AND sha256 = ANY(CAST(:digests AS text[])) RETURNING sha256
), deleted AS (
    DELETE FROM assets WHERE {OF_USER} AND sha256 = ANY(CAST(:digests AS text[])) RETURNING sha256, size_bytes
), queued AS (
    INSERT INTO blob_removals (tenant, sha256, since, deletion)
    SELECT CAST(:tenant AS text), sha256, CAST(:now AS timestamptz), CAST(:deletion AS text)
    FROM deleted ORDER BY sha256
    ON CONFLICT (tenant, sha256) DO UPDATE SET deletion = excluded.deletion,
        since = CASE WHEN blob_removals.removing THEN blob_removals.since ELSE excluded.since END
)
SELECT count(*) AS assets, coalesce(sum(size_bytes), 0) AS size_bytes, (SELECT count(*) FROM entries) AS entries
FROM deleted
""")

# What the audit of counters has not seen stays until it has: the audit needs the holds.
ENDED_JOBS = sa.text(f"""
SELECT id, tenant, "user", end_time FROM jobs
WHERE {OF_USER} AND id > :after AND resumes IS NULL AND end_time IS NOT NULL
    AND NOT EXISTS (SELECT FROM jobs AS later WHERE later.resumes = jobs.id AND later.end_time IS NULL)
    AND NOT EXISTS (
        SELECT FROM jobs AS family JOIN unaudited_settlements ON job_id = family.id
        WHERE family.id = jobs.id OR family.resumes = jobs.id
    )
ORDER BY id LIMIT :limit
""")
# An entry has the id of its job, which later ones follow with a dot and the number of an event.
QUEUED_RUNS = sa.text("""
SELECT workflow_uuid AS id, status = 'PENDING' AS taken FROM dbos.workflow_status
WHERE workflow_uuid IN (
    SELECT CAST(:id AS text)
    UNION ALL SELECT :id || '.' || number FROM jobs, generate_series(1, last_sequence) AS number WHERE id = :id
)
""")

DELIVERIES = sa.text(f"""
DELETE FROM webhook_deliveries WHERE number IN (
    SELECT number FROM webhook_deliveries WHERE {OF_USER} AND "user" <> '' LIMIT :limit
)
""")

# A balance is named by what it sums up, the user too.
BOOKINGS = sa.text(f"""
UPDATE ledger_entries SET "user" = :pseudonym, reference = CASE
    WHEN kind = 'balance' THEN
        left(reference, -32) || md5(concat_ws(E'\\n', CAST(:pseudonym AS text), key, model, operation))
    ELSE reference END
WHERE (reference, kind) IN (
    SELECT reference, kind FROM ledger_entries WHERE {OF_USER} ORDER BY time LIMIT :limit FOR UPDATE
)
RETURNING reference, kind, reason
""")
REASON = sa.text("UPDATE ledger_entries SET reason = :reason WHERE reference = :reference AND kind = :kind")

LEFT = sa.text(f"""
SELECT EXISTS (SELECT FROM jobs WHERE {OF_USER}) OR EXISTS (SELECT FROM uploads WHERE {OF_USER})
    OR EXISTS (SELECT FROM collections WHERE {OF_USER}) OR EXISTS (SELECT FROM assets WHERE {OF_USER})
    OR EXISTS (SELECT FROM ledger_entries WHERE {OF_USER})
    OR EXISTS (SELECT FROM webhook_deliveries WHERE {OF_USER} AND "user" <> '')
""")
COUNTERS = sa.text("""
UPDATE counters SET subject = 'user:' || CAST(:pseudonym AS text)
WHERE tenant = :tenant AND subject = 'user:' || CAST(:user AS text)
""")
LIMITS = sa.text("DELETE FROM limit_overrides WHERE tenant = :tenant AND subject = 'user:' || CAST(:user AS text)")
# `said` is the user's id as JSON writes it.
LOGGED = sa.text("""
SELECT id, target, reason, before, after FROM audit_log
WHERE tenant = :tenant AND (position(:user in target) > 0 OR position(:user in reason) > 0
    OR position(:said in before::text) > 0 OR position(:said in after::text) > 0)
""")
LOG = sa.text("""
UPDATE audit_log SET target = :target, reason = :reason, before = CAST(:before AS jsonb), after = CAST(:after AS jsonb)
WHERE id = :id
""")
ERASED = sa.text("""
UPDATE user_deletions SET "user" = NULL, state = 'removing-bytes', obstacle = '', erase_time = :now
WHERE tenant = :tenant AND id = :deletion AND state = 'deleting'
""")
END = sa.text("""
UPDATE user_deletions SET state = 'done', end_time = :now
WHERE tenant = :tenant AND id = :deletion AND state = 'removing-bytes' AND NOT EXISTS (
    SELECT FROM blob_removals WHERE blob_removals.tenant = :tenant AND deletion = :deletion AND (
        removing OR NOT EXISTS (
            SELECT FROM assets WHERE assets.tenant = blob_removals.tenant AND assets.sha256 = blob_removals.sha256
        )
    )
)
""")
