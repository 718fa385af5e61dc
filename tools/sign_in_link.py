"""A link that signs a person in to the page of a stack."""

import subprocess
import sys
from pathlib import Path

from tools.process_supervisor import die_with_parent

MOST_S = 60.0


def sign_in_link(api: str, key_file: Path) -> str:
    """Returns a link for the tenant of a key, which works once, for ten minutes; empty: there is none now."""
    command = [sys.executable, "-m", "services.client.cli", "--server", api, "--key-file", str(key_file), "open"]
    made = subprocess.run(
        command, capture_output=True, text=True, timeout=MOST_S, check=False, preexec_fn=die_with_parent
    )
    return made.stdout.strip() if made.returncode == 0 else ""
