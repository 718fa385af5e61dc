"""The whole stack on one machine, for development: `python -m tools.stack run` keeps it, `demo` makes one video.

PostgreSQL, Triton and the orchestrator are processes of their own; whatever ends this one ends them.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Self
from uuid import uuid4

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console

from tools.leash import __file__ as leash
from tools.leash import die_with_parent
from tools.tritonserver import TritonServer, TritonServerError

HOST = "127.0.0.1"
PICTURE = Path("tests/golden/cat.png")
PROMPT = "the cat turns its head and looks into the camera"
READY_S = 60.0

say = Console(highlight=False, soft_wrap=True)


class StackError(Exception):
    """The stack cannot start; the message says why."""


class Orchestrator:
    """`python -m services.orchestrator` as a child: serving once it was entered, gone once it was left."""

    def __init__(self, data: Path, triton: str, *, port: int, metrics_port: int, role: str = "all") -> None:
        self._role = role
        self.address = f"{HOST}:{port}"
        self.metrics = f"http://{HOST}:{metrics_port}/metrics"
        self.key_file = data / "dev-key"
        self.log = data / "orchestrator.log"
        self._environment = os.environ | {
            "GRPC_VERBOSITY": "ERROR",
            "I2V_DATA": str(data),
            "I2V_LISTEN": self.address,
            "I2V_METRICS_LISTEN": f"{HOST}:{metrics_port}",
            "I2V_TRITON": triton,
            "I2V_DEV_KEY_FILE": str(self.key_file),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "services.orchestrator", self._role]
        leashed = [sys.executable, "-I", "-S", leash, str(os.getpid()), f"i2v_{uuid4().hex}", *command]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                leashed, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    @property
    def pid(self) -> int:
        """The process that holds the orchestrator on its leash."""
        assert self._process is not None
        return self._process.pid

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + READY_S
        with grpc.insecure_channel(self.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while self._process.poll() is None and time.monotonic() < deadline:
                with suppress(grpc.RpcError):
                    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=1)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                time.sleep(0.05)
        last = "\n".join(f"  {line[:300]}" for line in self.log.read_text(errors="replace").splitlines()[-6:])
        raise StackError(f"the orchestrator did not start\n{last}\n  the whole log: {self.log}")


def free_port() -> int:
    """Returns a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def start(stack: ExitStack, data: Path, *, port: int, metrics_port: int) -> Orchestrator:
    """Starts Triton, then PostgreSQL and the orchestrator. Raises StackError, TritonServerError."""
    began = time.monotonic()
    with say.status("starting Triton with its models …"):
        triton = stack.enter_context(TritonServer(state=data / "triton"))
    say.print(f"  [green]✓[/] Triton              {triton.grpc_address}   [dim]{time.monotonic() - began:.1f} s[/]")
    began = time.monotonic()
    with say.status("starting PostgreSQL and the orchestrator …"):
        orchestrator = stack.enter_context(
            Orchestrator(data, triton.grpc_address, port=port, metrics_port=metrics_port)
        )
    say.print(f"  [green]✓[/] PostgreSQL, i2v     {orchestrator.address}   [dim]{time.monotonic() - began:.1f} s[/]")
    return orchestrator


def run() -> int:
    """Keeps the stack running until Ctrl-C or SIGTERM."""
    with ExitStack() as stack:
        orchestrator = start(stack, Path("var"), port=50051, metrics_port=9464)
        say.print(
            f"\n  gRPC      {orchestrator.address}\n"
            f"  metrics   {orchestrator.metrics}\n"
            f"  key       in {orchestrator.key_file} (tenant `development`)\n"
            f"  log       {orchestrator.log}\n\n"
            f"  try:      .venv/bin/i2v generate --image {PICTURE} --prompt 'it looks up' --out cat.mp4\n\n"
            "  Ctrl-C stops everything."
        )
        while True:
            signal.pause()


def demo() -> int:
    """Turns a picture of the repository into a video, on free ports and with data of its own."""
    with ExitStack() as stack:
        orchestrator = start(stack, Path("var/demo"), port=free_port(), metrics_port=free_port())
        out = Path("var/demo/cat.mp4")
        say.print(f"  [dim]the nano model is untrained: its video shows the way, not beauty[/]\n\n  {PICTURE} ⟶ {out}")
        command = [sys.executable, "-m", "services.client.cli", "--server", orchestrator.address]
        command += ["--key-file", str(orchestrator.key_file), "generate"]
        command += ["--image", str(PICTURE), "--prompt", PROMPT, "--out", str(out)]
        environment = os.environ | {"GRPC_VERBOSITY": "ERROR"}
        client = subprocess.Popen(command, env=environment, preexec_fn=die_with_parent)
        while True:
            try:
                return client.wait()
            except KeyboardInterrupt:
                continue  # the client got it too: it cancels its job and says what that cost


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.stack", description=__doc__)
    parser.add_argument("what", choices=("run", "demo"))
    what = parser.parse_args().what

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Both by hand: a shell's background job is born with SIGINT ignored, and Python leaves that so.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        return run() if what == "run" else demo()
    except (StackError, TritonServerError) as error:
        say.print(f"[red]{error}[/]")
        return 1
    except KeyboardInterrupt:
        say.print("\n  stopped")
        return 130 if what == "demo" else 0


if __name__ == "__main__":
    sys.exit(main())
