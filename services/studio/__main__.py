"""`python -m services.studio`: runs until SIGTERM or SIGINT, then drains."""

import sys

from services import collector_pause, grpc_verbosity  # noqa: F401  before all imports that take time, and gRPC
from services.process import run_process
from services.settings_help import help_text
from services.studio.app import ended, open_app
from services.studio.settings import PREFIX, Settings

USAGE = """usage: python -m services.studio

Answers HTTP clients: the HTTP API, live playback, what signed URLs name, and the pages of shares. --help lists the
settings; docs/settings.md says more.
"""


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 after a drain, 1 when it cannot run, 2 at a wrong call."""
    if "--help" in arguments:
        sys.stdout.write(help_text(USAGE, PREFIX, Settings))
        return 0
    if arguments:
        sys.stderr.write(USAGE)
        return 2
    # Their access lines would hold the URLs, which are credentials.
    return run_process(
        "studio", Settings.from_environment, open_app, service="i2v-studio", ended=ended, quiet=("uvicorn",)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
