"""`python -m services.orchestrator api|worker|webhooks|all`: runs until SIGTERM or SIGINT, then drains.

SIGHUP makes it look at the model cards and the plans at once. `migrate` brings the database to the schema and ends.
"""

import asyncio
import logging
import sys
from functools import partial
from typing import TYPE_CHECKING

from services import collector_pause, grpc_verbosity  # noqa: F401  before all imports that take time, and gRPC
from services.errors import ServiceError
from services.open_file_limit import raise_open_file_limit
from services.orchestrator.migration import open_migration
from services.orchestrator.role import Role
from services.orchestrator.settings import PREFIX, Settings
from services.orchestrator.store.postgres_cluster import ClusterError
from services.orchestrator.store.worker_name_lock import NameTaken
from services.process import run_process
from services.settings_help import help_text

if TYPE_CHECKING:
    from services.orchestrator.app import App

USAGE = """usage: python -m services.orchestrator api|worker|webhooks|all|migrate

api answers callers, worker runs jobs, webhooks delivers webhooks, all does all three; migrate brings the database to
this release's schema and ends.
--help lists the settings; docs/settings.md says more.
"""
MIGRATE, WEBHOOKS = "migrate", "webhooks"


async def migrated(_: None) -> None:
    """Returns at once: when the migration is open, it is done."""


async def lost(app: "App") -> None:
    """Returns when the app's worker has lost its name; never in a process without a worker."""
    if app.worker is None:
        await asyncio.Event().wait()
    else:
        await app.worker.lost()


QUIET = ("alembic", "dbos", "httpx", "httpcore", "sqlalchemy")
"""Libraries of which only warnings are logged: httpx would log each URL."""


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 after a drain, 1 when it cannot run, 2 at a wrong call."""
    if "--help" in arguments:
        sys.stdout.write(help_text(USAGE, PREFIX, Settings))
        return 0
    if len(arguments) != 1 or arguments[0] not in [*Role, MIGRATE, WEBHOOKS]:
        sys.stderr.write(USAGE)
        return 2
    raise_open_file_limit()
    # Otherwise DBOS adds a handler that writes lines in a format of its own, in addition to ours.
    logging.getLogger("dbos").addHandler(logging.NullHandler())
    if arguments[0] == MIGRATE:
        return run_process(
            "i2v",
            Settings.from_environment,
            open_migration,
            service="",
            ended=migrated,
            expected=(ServiceError,),
            quiet=QUIET,
        )
    if arguments[0] == WEBHOOKS:
        # Only here: no other role has a client for HTTP, and this one has no gRPC, no blobs and no backends.
        from services.orchestrator.webhooks_app import open_webhooks

        return run_process(
            "i2v",
            Settings.from_environment,
            open_webhooks,
            service="i2v-webhooks",
            expected=(ServiceError,),
            quiet=QUIET,
        )
    from services.orchestrator.app import open_app

    return run_process(
        "i2v",
        Settings.from_environment,
        partial(open_app, role=Role(arguments[0])),
        service=f"i2v-{arguments[0]}",
        ended=lost,
        reload=lambda app: app.config.reload(),
        expected=(ClusterError, NameTaken, ServiceError),
        quiet=QUIET,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
