"""Runs one command on a leash, `python leash.py PARENT SHM_PREFIX COMMAND...`, so that nothing of it is left behind.

Started by tritonserver.py with the standard library alone. Ends the command when asked to (SIGTERM, SIGINT) or when the
process PARENT has died, first politely, then with everything it started; then removes the shared memory whose names
begin with SHM_PREFIX, which a server that had to be killed leaves behind. Exits as the command did.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

POLITE_S = 8.0
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def die_with_parent() -> None:
    """Asks the kernel for a SIGTERM when the parent dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main(parent: int, shm_prefix: str, command: list[str]) -> int:
    """Runs the command to its end, natural or not, and returns its exit code."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
    try:
        die_with_parent()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans of the command become ours to wait for
        if os.getppid() != parent:
            return 1
        child = subprocess.Popen(command, process_group=0, preexec_fn=die_with_parent)
    except KeyboardInterrupt:
        return 1
    try:
        code = child.wait()
    except KeyboardInterrupt:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(POLITE_S)
        code = 0
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    for region in Path("/dev/shm").glob(f"{shm_prefix}*"):
        region.unlink(missing_ok=True)
    return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
