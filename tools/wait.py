"""A wait for something that starts: bounded, and it says every few seconds what it is for."""

import sys
import time
from collections.abc import Callable

import grpc

SAY_EVERY_S = 5.0

Say = Callable[[str], None]


def on_stderr(text: str) -> None:
    """Says it where it is in nobody's way."""
    print(text, file=sys.stderr, flush=True)


class Wait:
    """One wait. `what` names what is waited for, with its address."""

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
        """Pauses before the next look; `why` is what the last one found. Returns False when the time is over."""
        now = time.monotonic()
        if now > self._deadline:
            return False
        if now > self._next:
            self._next = now + self._say_every_s
            self._say(f"waiting for {self._what}, {now - self._began:.0f} s so far: {why}")
        time.sleep(self._look_s)
        return True


def why(error: grpc.RpcError) -> str:
    """Returns the last of what gRPC says of a call that failed, after a chain of its own layers."""
    said = error.details() if isinstance(error, grpc.Call) else None
    return (said or str(error)).rsplit(": ", 1)[-1]
