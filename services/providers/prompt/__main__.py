"""`python -m services.providers.prompt`: runs until SIGTERM or SIGINT, then drains."""

import asyncio
import logging
import signal
import sys

import uvloop

from services import grpc_verbosity  # noqa: F401  before anything that imports gRPC
from services.file_permissions import restrict_umask
from services.providers.prompt.app import open_app
from services.providers.prompt.settings import Settings
from services.rpc import logs
from services.rpc.server import CannotListenError
from services.rpc.setting_values import BadSetting

USAGE = """usage: python -m services.providers.prompt

Settings come from I2V_PROMPT_… variables; docs/prompt-writer.md lists them.
"""
TALKATIVE = ("httpx2", "httpcore2", "openai")
"""At DEBUG they log requests, whatever is in them."""


async def run(settings: Settings) -> None:
    """Runs until the process is told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_app(settings):
        await stop.wait()


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 after a drain, 1 when it cannot run, 2 at a wrong call."""
    if arguments:
        sys.stderr.write(USAGE)
        return 2
    restrict_umask()
    try:
        settings = Settings.from_environment()
        logs.setup(settings.log_level, json=settings.log_json)
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        uvloop.run(run(settings))
    except (BadSetting, CannotListenError) as error:
        sys.stderr.write(f"prompt writer: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
