"""The parent's side of the processes that open hostile files: start them, give them work, end them when they hang.

A file can crash, stall or bloat a decoder; in any case only its own child ends, and the next file gets a new
one. Children are spawned, never forked: this process runs gRPC's threads.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from services.errors import Unavailable
from services.orchestrator.media import sandbox_failures
from services.orchestrator.media.sandbox_failures import Kind
from services.reasons import ServiceReason

START_LIMIT_S = 60.0
WALL_TIME_FACTOR = 30
"""Wall-clock limit of a child, as a multiple of its processor time: on a loaded machine it has to wait."""
LOOK_S = 0.2
"""Seconds between two looks whether the caller has given up."""
Answer = Callable[[bytes], bytes]
"""Answers what a child asks in the middle of its work."""
GivenUp = Callable[[], bool]
"""Whether the caller has given up."""


class DecoderDied(Exception):
    """The child crashed on the file, or exceeded its processor time."""

    def __init__(self, by: int) -> None:
        """`by` is the signal that ended it, 0 if it ended by itself."""
        self.out_of_time = by == signal.SIGPROF
        self.killed = by == signal.SIGKILL
        super().__init__("out of time" if self.out_of_time else "killed" if self.killed else "crashed")


class CallGivenUp(Exception):
    """The caller gave up; the child was ended."""


@dataclass(frozen=True, slots=True)
class _Request:
    source: int
    target: int
    question: bytes
    answer: Answer | None
    given_up: GivenUp | None


class Sandbox:
    """A few children of one kind, started when first needed and kept warm. Blocking; safe from any thread."""

    def __init__(self, kind: Kind, *, size: int, limit_s: float) -> None:
        """`limit_s` is the processor time for each file."""
        self._kind = kind
        self.limit_s = limit_s
        self._turns = threading.BoundedSemaphore(size)
        self._idle: list[_Child] = []
        atexit.register(self.close)

    def call(
        self,
        source: int,
        target: int | None = None,
        *,
        question: Mapping[str, Any] | None = None,
        answer: Answer | None = None,
        given_up: GivenUp | None = None,
    ) -> dict[str, object]:
        """Lets a child read one open file and write another, which is empty, and returns its answer.

        `question` is what the child gets in addition to the files, as JSON of at most 100 kB. `answer` is called with
        what the child asks in between. `given_up` is asked a few times a second; if it is true, the call ends.

        Raises:
            DecoderDied: the file was too much for it.
            CallGivenUp
            Unavailable: no child could be started, survived, or got enough processor time to finish.
        """
        with self._turn(given_up), open(os.devnull, "wb") as null:
            sink = null.fileno() if target is None else target
            asked = b"" if question is None else json.dumps(question).encode()
            request = _Request(source, sink, asked, answer, given_up)
            used = self._idle_child()
            try:
                found = self._ask(used or self._new_child(), request)
                if used is None or "memory" not in found:
                    return found
            except DecoderDied as died:
                if died.out_of_time:
                    raise
            # A child may be killed for what others do, when the machine is short of memory, and earlier files may have
            # fragmented its memory: a new one decides.
            if target is not None:
                os.ftruncate(target, 0)
                os.lseek(target, 0, os.SEEK_SET)
            try:
                return self._ask(self._new_child(), request)
            except DecoderDied as died:
                if not died.killed:
                    raise
                what = f"The process that decodes {self._kind} was killed: the machine is short of memory. Try again."
                raise Unavailable(what, reason=ServiceReason.DECODER_UNAVAILABLE) from died

    @contextmanager
    def _turn(self, given_up: GivenUp | None) -> Iterator[None]:
        while not self._turns.acquire(timeout=None if given_up is None else LOOK_S):
            if given_up is not None and given_up():
                raise CallGivenUp
        try:
            yield
        finally:
            self._turns.release()

    def _ask(self, child: "_Child", request: "_Request") -> dict[str, object]:
        os.lseek(request.source, 0, os.SEEK_SET)
        try:
            answer = child.ask(request, self.limit_s * WALL_TIME_FACTOR)
        except BaseException:
            child.end()
            raise
        if "memory" in answer:
            child.end()
        else:
            self._idle.append(child)
        return answer

    def pids(self) -> list[int]:
        """Returns the processes of the idle children."""
        return [child.pid for child in self._idle]

    def close(self) -> None:
        """Ends the idle children; new ones start on the next call."""
        while self._idle:
            self._idle.pop().end()

    def _idle_child(self) -> "_Child | None":
        while self._idle:
            child = self._idle.pop()
            if child.alive():
                return child
            child.end()
        return None

    def _new_child(self) -> "_Child":
        return _Child(self._kind, self.limit_s)


class _Child:
    def __init__(self, kind: str, limit_s: float) -> None:
        self._kind = kind
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [
            sys.executable,
            "-S",
            "-s",
            "-P",
            "-m",
            "services.orchestrator.media.decoder_process",
            kind,
            str(limit_s),
        ]
        # The child gets nothing of our environment; the path replaces `site`, which -S skips for a faster start.
        environment = {"PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path), "LC_ALL": "C.UTF-8"}
        environment["MALLOC_ARENA_MAX"] = "1"  # each thread's own would take 64 MiB of the address space
        environment["OPENBLAS_NUM_THREADS"] = "1"  # for the same reason
        # Memory is used again for the next file: new pages for each would take a tenth of a picture's time.
        environment |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=environment,
                cwd="/",
            )
        self._socket.settimeout(START_LIMIT_S)
        try:
            ready = self._socket.recv(16) == b"ready"
        except OSError:
            ready = False
        if not ready:
            self.end()
            sandbox_failures.report(kind, "no-start")
            raise Unavailable(
                f"The process that decodes {kind} does not start.", reason=ServiceReason.DECODER_UNAVAILABLE
            )

    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: "_Request", timeout_s: float) -> dict[str, object]:
        self._socket.settimeout(timeout_s)
        try:
            socket.send_fds(self._socket, [b"go", request.question], [request.source, request.target])
            answer = self._receive(timeout_s, request.given_up)
            while request.answer is not None and answer and "asks" in (asked := json.loads(answer)):
                self._socket.send(request.answer(bytes.fromhex(asked["asks"])))
                answer = self._receive(timeout_s, request.given_up)
        except TimeoutError as late:
            sandbox_failures.report(self._kind, "starved")
            what = f"The process that decodes {self._kind} got too little processor time. Try again."
            raise Unavailable(what, reason=ServiceReason.DECODER_UNAVAILABLE) from late
        except OSError:
            answer = b""
        if not answer:
            died = DecoderDied(max(0, -self._process.wait()))
            sandbox_failures.report(self._kind, str(died).replace(" ", "-"))
            raise died
        return dict(json.loads(answer))

    def _receive(self, timeout_s: float, given_up: GivenUp | None) -> bytes:
        """Waits for an answer; empty: the child has ended. Raises CallGivenUp, TimeoutError, OSError."""
        looks = 1 if given_up is None else max(1, round(timeout_s / LOOK_S))
        self._socket.settimeout(timeout_s / looks)
        for _ in range(looks):
            try:
                return self._socket.recv(1 << 16)
            except TimeoutError:
                if given_up is not None and given_up():
                    raise CallGivenUp from None
        raise TimeoutError

    def end(self) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()
