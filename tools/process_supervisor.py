"""Supervises one command, `python process_supervisor.py PARENT SHM_PREFIX COMMAND...`: nothing of it is left behind.

Started by tritonserver.py and stack.py, with the standard library alone. The command ends by itself, or is ended when
the supervisor is asked to (SIGTERM, SIGINT) or when the process PARENT has died: politely first, then with its process
group. What it had put outside of that group, such as PostgreSQL's daemon, is then ended in the same two steps. Each
step has a limit, so the supervisor itself ends too. Last it removes the shared memory whose names begin with
SHM_PREFIX, which a server that had to be killed leaves behind. Exits as the command did.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

LOOK_S = 1.0
POLITE_S = 8.0
ADOPTED_POLITE_S = 4.0
KILLED_S = 2.0
"""What was killed is gone at once, unless the kernel holds it."""
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def die_with_parent() -> None:
    """Asks the kernel for a SIGTERM when the parent dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main(parent: int, shm_prefix: str, command: list[str]) -> int:
    """Runs the command to its end, natural or not, and returns its exit code."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        heed_no_more()
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
        code = ended(child)
        heed_no_more()
    except KeyboardInterrupt:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(POLITE_S)
        code = 0
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(KILLED_S)
    end_adopted()
    for region in Path("/dev/shm").glob(f"{shm_prefix}*"):
        region.unlink(missing_ok=True)
    return code


def ended(child: "subprocess.Popen[bytes]") -> int:
    """Waits for a child to end by itself, and returns its exit code.

    In short waits: a signal that comes just before a system call that waits is seen only after it, which may be never.
    """
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(LOOK_S)


def heed_no_more() -> None:
    """Ignores the signals that ask for an end: it is on its way, and takes only so long."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)


def end_adopted() -> None:
    """Ends the orphans that became ours, politely first."""
    polite_until = time.monotonic() + ADOPTED_POLITE_S
    killed_until = polite_until + KILLED_S
    asked: set[int] = set()
    while time.monotonic() < killed_until:
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        impatient = time.monotonic() > polite_until
        for pid, name in children():
            if not impatient and pid in asked:
                continue
            asked.add(pid)
            # PostgreSQL takes a SIGTERM as a wish to serve its last clients first.
            polite = signal.SIGINT if name == "postgres" else signal.SIGTERM
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL if impatient else polite)
        time.sleep(0.02)


def children() -> list[tuple[int, str]]:
    """Returns the id and the name of each process whose parent we are."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            start, _, rest = (folder / "stat").read_text(errors="replace").rpartition(")")
            if int(rest.split()[1]) == os.getpid():
                found.append((int(folder.name), start.partition("(")[2]))
    return found


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
