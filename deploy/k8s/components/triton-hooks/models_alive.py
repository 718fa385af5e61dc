"""Says whether this pod's Triton answers and each of its models has its process. A pod's liveness probe.

Triton 2.51 does not start the process of a Python model again that has died, and still calls the model ready. So the
container is restarted; workers continue its videos from their last blocks. It needs nothing but Python.
"""

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

SERVER = "http://127.0.0.1:8000"
PROCESSES = Path("/proc")
STUB = "triton_python_backend_stub"
TIMEOUT_S = 5


def main(server: str = SERVER, processes: Path = PROCESSES) -> int:
    """Returns the exit code: 1, with a line that says why, if something has died."""
    try:
        loaded = [each["name"] for each in _ask(server, "/v2/repository/index", b'{"ready": true}')]
        of_python = [name for name in loaded if _ask(server, f"/v2/models/{name}/config").get("backend") == "python"]
    except (OSError, ValueError) as error:
        print(f"Triton does not answer: {error}", file=sys.stderr)
        return 1
    commands = stubs(processes)
    for name in of_python:
        if not any(f"/{name}/" in command for command in commands):
            print(f"The process of the model {name} has died.", file=sys.stderr)
            return 1
    return 0


def stubs(processes: Path) -> list[str]:
    """Returns the command lines of the processes of Python models; that of a dead one is empty."""
    found = []
    for file in processes.glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        if STUB in command:
            found.append(command)
    return found


def _ask(server: str, path: str, body: bytes | None = None) -> Any:
    with urllib.request.urlopen(server + path, data=body, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())
