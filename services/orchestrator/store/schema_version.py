"""Whether the programs of this release can use a database: the version of its schema, and whom that version serves.

Migrations expand first and contract a release later. So a database may be ahead of a program: the comment on alembic's
table names the oldest release whose programs it still serves, by that release's newest migration.
"""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from services.errors import Unavailable
from services.reasons import ServiceReason

if TYPE_CHECKING:
    from alembic.config import Config

OLDEST_PROGRAMS = "0022"
"""The newest migration of the oldest release whose programs can use this schema. One that contracts raises it."""
COMMENT = re.compile(r"serves programs since (\w+)")
MIGRATIONS = Path(__file__).parent / "migrations"
REVISION = re.compile(r'^revision(?:: str)? = "(\w+)"$', re.MULTILINE)
BEFORE = re.compile(r'^down_revision(?:: str \| None)? = (?:None|"(\w+)")$', re.MULTILINE)
MIGRATE = "run `python -m services.orchestrator migrate`"


def migrations() -> "Config":
    """Returns alembic's configuration for our migrations."""
    from alembic.config import Config  # only here: see `store.database.migrate`

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


@cache
def known() -> tuple[str, ...]:
    """Returns the migrations of this release, the newest first, by the text of their files."""
    after: dict[str | None, str] = {}
    for file in (MIGRATIONS / "versions").glob("m*.py"):
        text = file.read_text()
        revision, before = REVISION.search(text), BEFORE.search(text)
        assert revision is not None and before is not None, file
        after[before[1]] = revision[1]
    chain: list[str] = []
    while revision_after := after.get(chain[0] if chain else None):
        chain.insert(0, revision_after)
    return tuple(chain)


def mark(connection: sa.Connection) -> None:
    """Writes down whom the schema serves, after a migration."""
    if _serves_since(connection) != OLDEST_PROGRAMS:
        connection.execute(sa.text(f"COMMENT ON TABLE alembic_version IS 'serves programs since {OLDEST_PROGRAMS}'"))


def is_ahead(connection: sa.Connection) -> bool:
    """Returns whether a newer release has migrated the database, and it still serves programs of this one.

    Raises Unavailable with SCHEMA_MISMATCH: it serves them no more.
    """
    found = version(connection)
    if found is None or found in known():
        return False
    since = _serves_since(connection)
    if since not in known():
        what = f"programs since {since or 'an unknown one'}, and this program is of {known()[0]}"
        raise _mismatch(f"its schema is at {found} and serves {what}: take a newer release")
    return True


def standing(found: str | None) -> str:
    """Returns how a database's version stands to this program: `current`, `behind` or `ahead`."""
    if found == known()[0]:
        return "current"
    return "behind" if found is None or found in known() else "ahead"


def check(connection: sa.Connection) -> None:
    """Raises Unavailable with SCHEMA_MISMATCH unless programs of this release can use the schema."""
    if is_ahead(connection):
        return
    found, wanted = version(connection), known()[0]
    if found is None:
        raise _mismatch(f"it has no schema yet: {MIGRATE}")
    if found != wanted:
        raise _mismatch(f"its schema is at {found}, and this program needs {wanted}: {MIGRATE}")


def version(connection: sa.Connection) -> str | None:
    """Returns the newest migration of a database; None: it has none."""
    if connection.scalar(sa.text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found


def _serves_since(connection: sa.Connection) -> str:
    comment = connection.scalar(sa.text("SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"))
    found = COMMENT.fullmatch(comment or "")
    return found[1] if found else ""


def _mismatch(message: str) -> Unavailable:
    return Unavailable(message, reason=ServiceReason.SCHEMA_MISMATCH)
