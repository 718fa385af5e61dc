"""Supervises one command, `python process_supervisor.py PARENT SHM_PREFIX COMMAND...`: no process of it remains.

Started by tritonserver.py and stack.py, with the standard library alone. The command ends by itself, or is ended when
the supervisor gets a SIGTERM or SIGINT or when the process PARENT has died: with SIGTERM first, then by killing its
process group. Processes outside of that group, such as PostgreSQL's daemon, are then ended in the same two steps. Each
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
TERMINATE_S = 8.0
ADOPTED_TERMINATE_S = 4.0
KILLED_S = 2.0
"""A killed process ends immediately, unless the kernel blocks it."""
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def die_with_parent() -> None:
    """Makes the kernel send a SIGTERM when the parent dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main(parent: int, shm_prefix: str, command: list[str]) -> int:
    """Runs the command to its end, natural or not, and returns its exit code."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        ignore_signals()
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
        ignore_signals()
    except KeyboardInterrupt:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(TERMINATE_S)
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


def ignore_signals() -> None:
    """Ignores further signals to stop: the end is in progress, and its time is limited."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)


def end_adopted() -> None:
    """Ends the adopted orphans, with SIGTERM first."""
    terminate_until = time.monotonic() + ADOPTED_TERMINATE_S
    killed_until = terminate_until + KILLED_S
    signalled: set[int] = set()
    while time.monotonic() < killed_until:
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        overdue = time.monotonic() > terminate_until
        for pid, name in children():
            if not overdue and pid in signalled:
                continue
            signalled.add(pid)
            # PostgreSQL would serve its last clients first after a SIGTERM.
            first = signal.SIGINT if name == "postgres" else signal.SIGTERM
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL if overdue else first)
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
