"""`python -m services.providers.prompt`: runs until SIGTERM or SIGINT, then drains."""

import sys

from services import collector_pause, grpc_verbosity  # noqa: F401  before all imports that take time, and gRPC
from services.process import run_process
from services.providers.prompt.app import open_app
from services.providers.prompt.settings import PREFIX, Settings
from services.settings_help import help_text

USAGE = """usage: python -m services.providers.prompt

Writes prompts from scenes. --help lists the settings; docs/prompt-writer.md says more.
"""


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 after a drain, 1 when it cannot run, 2 at a wrong call."""
    if "--help" in arguments:
        sys.stdout.write(help_text(USAGE, PREFIX, Settings))
        return 0
    if arguments:
        sys.stderr.write(USAGE)
        return 2
    return run_process(
        "prompt writer",
        Settings.from_environment,
        open_app,
        service="i2v-prompt-writer",
        # At DEBUG they log requests, including what is in them.
        quiet=("httpx2", "httpcore2", "openai"),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
