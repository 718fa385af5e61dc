"""Every table of the live database is known to the deletion of users: a new one cannot be forgotten."""

import re
from pathlib import Path

import sqlalchemy as sa

from services.orchestrator.store.postgres_store import PostgresStore

PAGE = Path(__file__).resolve().parents[2] / "docs/operations.md"
DELETED = frozenset(
    {
        *(
            "jobs",
            "job_events",
            "holds",
            "paid_calls",
            "unaudited_settlements",
            "assets",
            "library_entries",
            "library_tags",
            "manifests",
        ),
        *("collections", "collection_members", "shares", "uploads", "limit_overrides", "blob_removals", "renditions"),
        "webhook_deliveries",
        "sessions",
        *("dbos.workflow_status", "dbos.workflow_input", "dbos.workflow_output", "dbos.operation_outputs"),
        *("dbos.notifications", "dbos.streams", "dbos.workflow_events", "dbos.workflow_events_history"),
    }
)
"""The rows of a user go with the user."""
KEPT = {
    # With a pseudonym in place of the user:
    "ledger_entries": {"user", "reason"},
    "counters": {"subject"},
    "audit_log": {"target", "reason", "before", "after"},
    "user_deletions": {"user"},
    # Nothing of a user:
    "audited_counters": set(),
    "usage_warnings": set(),
    "tenants": set(),
    "api_keys": set(),
    "operators": set(),
    "service_secrets": set(),
    "backend_drains": set(),
    "counter_audits": set(),
    "daily_rollups": set(),
    "rollup_rounds": set(),
    "executors": set(),
    "run_rates": set(),
    "webhook_endpoints": set(),
    "alembic_version": set(),
    "dbos.application_versions": set(),
    "dbos.dbos_migrations": set(),
    "dbos.event_dispatch_kv": set(),
    "dbos.queues": set(),
    "dbos.workflow_schedules": set(),
}
"""The rows stay. The columns had the user, and get the pseudonym or nothing."""
HARMLESS = {
    "ledger_entries": "reference kind tenant key model operation capability card_version quote_id actor",
    "counters": "tenant measure period",
    "audit_log": "actor action tenant call outcome",
    "user_deletions": "tenant id pseudonym state obstacle",
    "tenants": "id plan state time_zone next_plan legal_hold_reason",
    "api_keys": "id tenant sha256 name scopes",
    "operators": "id sha256 name role",
    "service_secrets": "name secret",
    "backend_drains": "backend reason actor",
    "daily_rollups": "tenant model operation",
    "executors": "id worker slots servers obstacles",
    "run_rates": "backend variant",
    "webhook_endpoints": "tenant id url event_types description state salt rotation old_salt pause_reason",
    "alembic_version": "version_num",
}
"""Columns of kept tables that can hold text, and never hold a user or a user's words. Those of DBOS are its own."""
COLUMNS = sa.text("""
SELECT CASE table_schema WHEN 'public' THEN '' ELSE table_schema || '.' END || table_name AS table,
    column_name AS column,
    udt_name NOT IN ('int2', 'int4', 'int8', '_int8', 'float8', 'bool', 'date', 'timestamptz') AS textual
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema IN ('public', 'dbos') AND table_type = 'BASE TABLE'
""")


async def columns(store: PostgresStore) -> dict[str, set[str]]:
    """Returns the textual columns of every table."""
    async with store.database.reading() as connection:
        rows = (await connection.execute(COLUMNS)).all()
    tables = {row.table for row in rows}
    return {table: {row.column for row in rows if row.table == table and row.textual} for table in tables}


async def test_every_table_goes_with_a_user_or_is_kept_for_a_reason(store: PostgresStore) -> None:
    assert DELETED | KEPT.keys() == (await columns(store)).keys(), (
        "say in docs/operations.md, section Deleting one user, and here what becomes of a table when a user is "
        "deleted, and let services/orchestrator/store/user_data.py do it"
    )


async def test_every_column_that_could_hold_a_users_text_in_a_kept_table_is_known(store: PostgresStore) -> None:
    for table, found in (await columns(store)).items():
        if table in KEPT and not table.startswith("dbos."):
            assert found == KEPT[table] | set(HARMLESS.get(table, "").split()), table


async def test_every_table_with_the_column_user_is_deleted_or_gets_the_pseudonym(store: PostgresStore) -> None:
    with_user = {table for table, found in (await columns(store)).items() if "user" in found}
    assert with_user - DELETED == {table for table, found in KEPT.items() if "user" in found}


def test_the_page_says_what_becomes_of_every_table() -> None:
    (table,) = re.findall(r"<!-- user data -->\n((?:\|.*\n)+)", PAGE.read_text())
    said: dict[str, str] = {}
    for row in table.splitlines()[2:]:
        names, what = (cell.strip() for cell in row.strip("|").split("|"))
        said |= dict.fromkeys(re.findall(r"`([\w.]+)`", names), what)
    assert said.keys() == DELETED | KEPT.keys()
    assert {name for name, what in said.items() if what.startswith("kept")} == KEPT.keys()
