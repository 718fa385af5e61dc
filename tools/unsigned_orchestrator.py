"""An orchestrator that signs no video, to measure what signing costs: `python -m tools.unsigned_orchestrator all`."""

import sys
from functools import partial
from pathlib import Path

from services import grpc_verbosity  # noqa: F401  before anything that imports gRPC
from services.orchestrator.app import open_app
from services.orchestrator.domain.content_credentials import Claim, Identity
from services.orchestrator.ports.content_credentials import CannotSign
from services.orchestrator.role import Role
from services.orchestrator.settings import Settings
from services.process import run_process


class NoSigner:
    """Leaves every file as it is, without a warning."""

    identity = Identity("none", "0", "", development=True)
    version = "0"

    def sign(self, path: Path, media_type: str, claim: Claim) -> Path:
        """Raises CannotSign."""
        raise CannotSign


def main(role: str) -> int:
    """Runs until a stop signal. Returns the exit code."""
    return run_process("i2v", Settings.from_environment, partial(open_app, role=Role(role), signer=NoSigner()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
