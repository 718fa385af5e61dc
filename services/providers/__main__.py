"""`python -m services.providers <vendor>`: runs until SIGTERM or SIGINT, then lets submissions end and drains."""

import sys
from functools import partial

from services import collector_pause, grpc_verbosity  # noqa: F401  before all imports that take time, and gRPC
from services.process import run_process
from services.providers.app import open_app
from services.providers.settings import Settings, prefix_of
from services.providers.vendors import VENDORS
from services.settings_help import help_text

USAGE = f"""usage: python -m services.providers {"|".join(VENDORS)}

Makes one vendor's models look like local ones. --help lists the settings; docs/providers.md says more.
"""


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 after a drain, 1 when it cannot run, 2 at a wrong call."""
    if "--help" in arguments:
        vendor = next((each for each in arguments if each in VENDORS), "<vendor>")
        sys.stdout.write(help_text(USAGE, prefix_of(vendor), Settings))
        return 0
    if len(arguments) != 1 or arguments[0] not in VENDORS:
        sys.stderr.write(USAGE)
        return 2
    return run_process(
        "i2v",
        partial(Settings.from_environment, arguments[0]),
        partial(open_app, arguments[0]),
        service=f"i2v-provider-{arguments[0]}",
        # At INFO they write every URL, and with it the vendor's ids.
        quiet=("httpx", "httpcore"),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
