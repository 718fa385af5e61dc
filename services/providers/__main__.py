"""`python -m services.providers <vendor>`: runs until SIGTERM or SIGINT, then lets submissions end and drains."""

import asyncio
import logging
import signal
import sys

import uvloop

from services import grpc_verbosity  # noqa: F401  before anything that imports gRPC
from services.file_permissions import restrict_umask
from services.providers.app import open_app
from services.providers.settings import Settings
from services.providers.vendors import VENDORS
from services.resource_shortage import shortage
from services.rpc import logs
from services.rpc.server import CannotListenError
from services.rpc.setting_values import BadSetting

USAGE = f"""usage: python -m services.providers {"|".join(VENDORS)}

Settings come from I2V_PROVIDER_… variables; docs/providers.md lists them.
"""


async def run(vendor: str, settings: Settings) -> None:
    """Runs a vendor's provider until the process is told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_app(vendor, settings):
        await stop.wait()


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 after a drain, 1 when it cannot run, 2 at a wrong call."""
    if len(arguments) != 1 or arguments[0] not in VENDORS:
        sys.stderr.write(USAGE)
        return 2
    restrict_umask()
    try:
        settings = Settings.from_environment(arguments[0])
        logs.setup(settings.log_level, json=settings.log_json)
        # At INFO they write every URL, and with it the vendor's ids.
        for talkative in ("httpx", "httpcore"):
            logging.getLogger(talkative).setLevel(logging.WARNING)
        uvloop.run(run(arguments[0], settings))
    except (BadSetting, CannotListenError) as error:
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
