"""Moves a database to another version of the schema."""

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config

from services.orchestrator.store import database as databases
from services.orchestrator.store.database import driver_url


def migrated(url: str, move: Callable[[Config, str], None], revision: str) -> None:
    """Moves by `alembic.command.upgrade` or `downgrade`."""
    config = Config()
    config.set_main_option("script_location", str(Path(databases.__file__).parent / "migrations"))
    engine = sa.create_engine(driver_url(url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        move(config, revision)
