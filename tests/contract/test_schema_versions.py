"""What processes know of the schema without alembic and DBOS, compared with what these libraries know."""

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from dbos._migration import get_migration_versions

from services.orchestrator.store.database import driver_url
from services.orchestrator.store.queue_version import WANTED
from services.orchestrator.store.schema_version import known, migrations


def test_the_migrations_of_this_release_are_those_that_alembic_finds_in_its_order() -> None:
    assert known() == tuple(each.revision for each in ScriptDirectory.from_config(migrations()).walk_revisions())


def test_the_wanted_version_of_the_queue_is_the_one_that_the_library_makes(database: str) -> None:
    engine = sa.create_engine(driver_url(database), poolclass=sa.NullPool)
    assert get_migration_versions(engine, "dbos", True) == (WANTED, WANTED)
