"""A limited wait for a program that starts. It reports every few seconds what it waits for."""

import sys
import time
from collections.abc import Callable

import grpc

SAY_EVERY_S = 5.0

Say = Callable[[str], None]


def on_stderr(text: str) -> None:
    """Prints to stderr, so that stdout has only the program's output."""
    print(text, file=sys.stderr, flush=True)


class StartWait:
    """One wait. `what` names the awaited program, with its address."""

    def __init__(
        self,
        what: str,
        *,
        within_s: float,
        look_s: float = 0.05,
        say: Say = on_stderr,
        say_every_s: float = SAY_EVERY_S,
    ) -> None:
        self._what = what
        self._look_s = look_s
        self._say = say
        self._say_every_s = say_every_s
        self._began = time.monotonic()
        self._deadline = self._began + within_s
        self._next = self._began + say_every_s

    def goes_on(self, why: str) -> bool:
        """Pauses before the next check; `why` is the result of the last one. Returns False when the time is over."""
        now = time.monotonic()
        if now > self._deadline:
            return False
        if now > self._next:
            self._next = now + self._say_every_s
            self._say(f"waiting for {self._what}, {now - self._began:.0f} s so far: {why}")
        time.sleep(self._look_s)
        return True


def why(error: grpc.RpcError) -> str:
    """Returns the innermost cause from gRPC's message about a failed call."""
    details = error.details() if isinstance(error, grpc.Call) else None
    return (details or str(error)).rsplit(": ", 1)[-1]
