"""`python -m services.orchestrator api|worker|all`: runs until SIGTERM or SIGINT, then drains."""

import asyncio
import logging
import signal
import sys
from contextlib import AsyncExitStack

import uvloop

from services import grpc_verbosity  # noqa: F401  before anything that imports gRPC
from services.errors import ServiceError
from services.file_permissions import restrict_umask
from services.open_file_limit import raise_open_file_limit
from services.orchestrator.app import Role, open_app
from services.orchestrator.settings import Settings
from services.orchestrator.store.postgres_cluster import ClusterError
from services.orchestrator.store.worker_name_lock import NameTaken
from services.resource_shortage import shortage
from services.rpc import logs
from services.rpc.server import CannotListenError
from services.rpc.setting_values import BadSetting

USAGE = """usage: python -m services.orchestrator api|worker|all

Settings come from I2V_… variables; docs/settings.md lists them.
"""


async def run(role: Role, settings: Settings) -> None:
    """Runs a role until the process gets a stop signal. If an error ends it earlier, stops first and then raises it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ends: set[asyncio.Task[object]] = {asyncio.create_task(stop.wait())}
    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(stack.enter_async_context(open_app(settings, role)))
        await asyncio.wait({starting, *ends}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():  # a start may wait for the database
            starting.cancel()
            await asyncio.wait({starting})
        if starting.cancelled():
            return
        app = starting.result()
        if app.worker is not None:
            ends.add(asyncio.create_task(app.worker.lost()))
        ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ended:
            end.result()


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 after a drain, 1 when it cannot run, 2 at a wrong call."""
    if len(arguments) != 1 or arguments[0] not in list(Role):
        sys.stderr.write(USAGE)
        return 2
    restrict_umask()
    raise_open_file_limit()
    try:
        settings = Settings.from_environment()
        logs.setup(settings.log_level, json=settings.log_json)
        for talkative in ("alembic", "dbos"):
            logging.getLogger(talkative).setLevel(logging.WARNING)
        # Otherwise DBOS adds a handler that writes lines in a format of its own, in addition to ours.
        logging.getLogger("dbos").addHandler(logging.NullHandler())
        uvloop.run(run(Role(arguments[0]), settings))
    except (BadSetting, CannotListenError, ClusterError, NameTaken, ServiceError) as error:
        sys.stderr.write(f"i2v: {error}\n")
        return 1
    except Exception as error:
        if shortage(error) is None:
            raise
        sys.stderr.write(f"i2v: this machine has too few resources for a start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
