"""One program of the stack as a supervised child process: it serves within the block and ends with it."""

import atexit
import os
import random
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Self
from uuid import uuid4

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.rpc.channel import DIRECT
from tools.process_supervisor import __file__ as supervisor
from tools.start_wait import SAY_EVERY_S, Say, StartWait, on_stderr, why

HOST = "127.0.0.1"
LOCAL_PORTS, PORTS_FROM = Path("/proc/sys/net/ipv4/ip_local_port_range"), 10_000
READY_S = 180.0


class StackError(Exception):
    """The stack cannot start or go on; the message says why."""


class StackProcess:
    """`python -m MODULE ARGUMENTS`, with a log of its own."""

    def __init__(
        self,
        name: str,
        module: str,
        *arguments: str,
        log: Path,
        ports: Mapping[str, int],
        environment: Mapping[str, str],
        speaks_grpc: bool = True,
        ready_within_s: float = READY_S,
        say: Say = on_stderr,
        say_every_s: float = SAY_EVERY_S,
    ) -> None:
        """The program serves at the first of the ports, by gRPC with health or by another protocol.

        `say` is called with what the start waits for, every `say_every_s` seconds.
        """
        self.name = name
        self.log = log
        self.address = f"{HOST}:{next(iter(ports.values()))}"
        self._module = module
        self._arguments = arguments
        self._ports = ports
        self._environment = environment
        self._speaks_grpc = speaks_grpc
        self._ready_within_s = ready_within_s
        self._say = say
        self._say_every_s = say_every_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        refuse_taken(self._ports)  # before the log of the process that uses them is emptied
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = self._begin(log)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    @property
    def metrics_address(self) -> str:
        """`host:port` of its metrics; empty: it has none."""
        port = self._ports.get("metrics")
        return f"{HOST}:{port}" if port else ""

    @property
    def pid(self) -> int:
        """The process that supervises the program."""
        assert self._process is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _begin(self, log: BinaryIO) -> "subprocess.Popen[bytes]":
        """Starts the program under a supervisor, with its output in an open file."""
        supervised = [sys.executable, "-I", "-S", supervisor, str(os.getpid()), f"i2v_{uuid4().hex}"]
        return subprocess.Popen(
            [*supervised, sys.executable, "-m", self._module, *self._arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def _wait(self) -> None:
        assert self._process is not None
        what = f"{self.name} at {self.address}"
        wait = StartWait(what, within_s=self._ready_within_s, say=self._say, say_every_s=self._say_every_s)
        while self._process.poll() is None:
            missing = self._health_lacks() if self._speaks_grpc else self._listening_lacks()
            # The answer may come from another process on the same port, while ours has ended.
            if not missing and self.lives:
                return
            if not wait.goes_on(f"{missing}; its log is {self.log}"):
                raise StackError(
                    f"{self.name} was not ready within {self._ready_within_s:.0f} s: {missing}\n{tail(self.log)}"
                )
        raise StackError(f"{self.name} did not start\n{tail(self.log)}")

    def _health_lacks(self) -> str:
        """Returns why it does not serve, as far as visible from outside; "" if it serves."""
        try:
            with grpc.insecure_channel(self.address, options=[DIRECT]) as channel:
                answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError as error:
            return why(error)
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        return "" if answer.status == health_pb2.HealthCheckResponse.SERVING else f"its health is {status}"

    def _listening_lacks(self) -> str:
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError as error:
            return error.strerror or str(error)
        return ""


def tail(log: Path) -> str:
    """Returns a log's last lines and where the others are."""
    last = [f"  {line[:300]}" for line in log.read_text(errors="replace").splitlines()[-6:]]
    return "\n".join((*last, f"  the whole log: {log}"))


def refuse_taken(ports: Mapping[str, int]) -> None:
    """Raises StackError if a process listens on one of the ports."""
    for name, port in ports.items():
        with socket.socket() as probe:
            # As servers do: connections that ended a moment ago do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise StackError(
                    f"the {name} port {HOST}:{port} cannot be had: {error.strerror}\n"
                    "  Stop what uses it, perhaps another `make run`, or take other ports and another folder:\n"
                    "  .venv/bin/python -m tools.stack run --port 50061 --metrics-port 9474 --data var/second"
                ) from error


_reserved: deque[socket.socket] = deque(maxlen=100)
"""The names of the ports that this process chose last, until it ends or has chosen a hundred others."""


@atexit.register
def _release() -> None:
    """Closes them: Python would warn of each as a socket that was left open."""
    while _reserved:
        _reserved.pop().close()


def free_port() -> int:
    """Returns a port that no process uses now, below those that the kernel gives to connections.

    So a server that restarts finds its port free: no connection of another process takes it in between. No other caller
    of this function, in any process of the machine, gets the port while its server starts: a socket in the kernel's
    abstract namespace reserves it.
    """
    below, _ = map(int, LOCAL_PORTS.read_text().split())
    while True:
        port = random.randrange(PORTS_FROM, max(below, PORTS_FROM + 10_000))
        name = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe:
            try:
                name.bind(f"\0i2v-port-{port}")
                probe.bind((HOST, port))
            except OSError:
                name.close()
                continue
        if len(_reserved) == _reserved.maxlen:
            _reserved.popleft().close()
        _reserved.append(name)
        return port
