"""Whether the programs of this release can use a database: the version of its schema, and whom that version serves.

Migrations expand first and contract a release later. So a database may be ahead of a program: the comment on alembic's
table names the oldest release whose programs it still serves, by that release's newest migration.
"""

import re
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from services.errors import Unavailable
from services.reasons import ServiceReason

OLDEST_PROGRAMS = "0022"
"""The newest migration of the oldest release whose programs can use this schema. One that contracts raises it."""
COMMENT = re.compile(r"serves programs since (\w+)")
MIGRATE = "run `python -m services.orchestrator migrate`"


def migrations() -> Config:
    """Returns alembic's configuration for our migrations."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@cache
def known() -> tuple[str, ...]:
    """Returns the migrations of this release, the newest first."""
    return tuple(each.revision for each in ScriptDirectory.from_config(migrations()).walk_revisions())


def mark(connection: sa.Connection) -> None:
    """Writes down whom the schema serves, after a migration."""
    if _serves_since(connection) != OLDEST_PROGRAMS:
        connection.execute(sa.text(f"COMMENT ON TABLE alembic_version IS 'serves programs since {OLDEST_PROGRAMS}'"))


def is_ahead(connection: sa.Connection) -> bool:
    """Returns whether a newer release has migrated the database, and it still serves programs of this one.

    Raises Unavailable with SCHEMA_MISMATCH: it serves them no more.
    """
    found = MigrationContext.configure(connection).get_current_revision()
    if found is None or found in known():
        return False
    since = _serves_since(connection)
    if since not in known():
        what = f"programs since {since or 'an unknown one'}, and this program is of {known()[0]}"
        raise _mismatch(f"its schema is at {found} and serves {what}: take a newer release")
    return True


def check(connection: sa.Connection) -> None:
    """Raises Unavailable with SCHEMA_MISMATCH unless programs of this release can use the schema."""
    if is_ahead(connection):
        return
    found, wanted = MigrationContext.configure(connection).get_current_revision(), known()[0]
    if found is None:
        raise _mismatch(f"it has no schema yet: {MIGRATE}")
    if found != wanted:
        raise _mismatch(f"its schema is at {found}, and this program needs {wanted}: {MIGRATE}")


def _serves_since(connection: sa.Connection) -> str:
    comment = connection.scalar(sa.text("SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"))
    found = COMMENT.fullmatch(comment or "")
    return found[1] if found else ""


def _mismatch(message: str) -> Unavailable:
    return Unavailable(message, reason=ServiceReason.SCHEMA_MISMATCH)
