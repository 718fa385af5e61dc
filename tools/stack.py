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
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Self
from uuid import uuid4

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console

from tools.export import repository, stamp
from tools.leash import __file__ as leash
from tools.leash import die_with_parent
from tools.tritonserver import TritonServer, TritonServerError

HOST = "127.0.0.1"
DATA = Path("var")
PORT = 50051
PICTURE = Path("tests/golden/cat.png")
PROMPT = "the camera slowly zooms in on the eyes of the cat"
NANO = "nano"
CARDS = Path("deploy/config/cards")
"""The cards of the profiles that are not served by default."""
READY_S = 60.0
READY_MODELS_S = 600.0
"""Gigabytes of weights take their time."""
LOOK_S = 1.0

say = Console(highlight=False, soft_wrap=True)


class StackError(Exception):
    """The stack cannot start or go on; the message says why."""


class Orchestrator:
    """`python -m services.orchestrator` as a child: serving once it was entered, gone once it was left."""

    def __init__(
        self, data: Path, triton: str, *, port: int, metrics_port: int, role: str = "all", cards: Path | None = None
    ) -> None:
        self._role = role
        self.address = f"{HOST}:{port}"
        self.metrics = f"http://{HOST}:{metrics_port}/metrics"
        self._ports = {"gRPC": port, "metrics": metrics_port}
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
        if cards is not None:
            self._environment["I2V_MODELS_FILE"] = str(cards)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        refuse_taken(self._ports)  # before the log of whoever has them is emptied
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

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

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
                    # The answer may be another one's, on the same port, while ours has given up.
                    if answer.status == health_pb2.HealthCheckResponse.SERVING and self.lives:
                        return
                time.sleep(0.05)
        raise StackError(f"the orchestrator did not start\n{tail(self.log)}")


def tail(log: Path) -> str:
    """Returns a log's last lines and where the others are."""
    last = [f"  {line[:300]}" for line in log.read_text(errors="replace").splitlines()[-6:]]
    return "\n".join((*last, f"  the whole log: {log}"))


def refuse_taken(ports: Mapping[str, int]) -> None:
    """Raises StackError if somebody listens on one of the ports."""
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


def free_port() -> int:
    """Returns a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def start(
    stack: ExitStack, data: Path, *, port: int, metrics_port: int, profile: str = NANO
) -> tuple[TritonServer, Orchestrator]:
    """Starts Triton, then PostgreSQL and the orchestrator. Raises StackError, TritonServerError."""
    refuse_taken({"gRPC": port, "metrics": metrics_port})
    models = repository.default(profile)
    cards = None if profile == NANO else CARDS / f"{profile}.toml"
    if not (models / stamp.STAMP).is_file():
        raise StackError(f"the profile {profile!r} is not built: make models PROFILE={profile} WEIGHTS='PATH …'")
    began = time.monotonic()
    with say.status("starting Triton with its models …"):
        triton = stack.enter_context(TritonServer(models, state=data / "triton", ready_within_s=READY_MODELS_S))
    say.print(f"  [green]✓[/] Triton              {triton.grpc_address}   [dim]{time.monotonic() - began:.1f} s[/]")
    began = time.monotonic()
    with say.status("starting PostgreSQL and the orchestrator …"):
        orchestrator = stack.enter_context(
            Orchestrator(data, triton.grpc_address, port=port, metrics_port=metrics_port, cards=cards)
        )
    say.print(f"  [green]✓[/] PostgreSQL, i2v     {orchestrator.address}   [dim]{time.monotonic() - began:.1f} s[/]")
    return triton, orchestrator


def run(data: Path, port: int, metrics_port: int, profile: str) -> int:
    """Keeps the stack running until Ctrl-C or SIGTERM. Raises StackError when a part of it has died."""
    with ExitStack() as stack:
        triton, orchestrator = start(stack, data, port=port, metrics_port=metrics_port, profile=profile)
        i2v = ".venv/bin/i2v"
        if (data, port) != (DATA, PORT):
            i2v += f" --server {orchestrator.address} --key-file {orchestrator.key_file}"
        say.print(
            f"\n  gRPC      {orchestrator.address}\n"
            f"  metrics   {orchestrator.metrics}\n"
            f"  key       in {orchestrator.key_file} (tenant `development`)\n"
            f"  log       {orchestrator.log}\n\n"
            f"  try:      {i2v} generate --image {PICTURE} --prompt 'it looks up' --out cat.mp4\n\n"
            "  Ctrl-C stops everything."
        )
        while True:
            time.sleep(LOOK_S)
            for name, lives, log in (
                ("Triton", triton.running, triton.log),
                ("the orchestrator", orchestrator.lives, orchestrator.log),
            ):
                if not lives:
                    raise StackError(f"{name} has died; everything is stopped\n{tail(log)}")


def demo() -> int:
    """Turns a picture of the repository into a video, on free ports and with data of its own."""
    with ExitStack() as stack:
        _, orchestrator = start(stack, Path("var/demo"), port=free_port(), metrics_port=free_port())
        out = Path("var/demo/cat.mp4")
        say.print(f"\n  {PICTURE} ⟶ {out}   [dim]“{PROMPT}”[/]")
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
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("demo", help="makes one video")
    kept = commands.add_parser("run", help="keeps the stack running")
    kept.add_argument("--data", type=Path, default=DATA)
    kept.add_argument("--port", type=int, default=PORT)
    kept.add_argument("--metrics-port", type=int, default=9464)
    kept.add_argument("--profile", default=NANO, help="which of the profiles that are built")
    given = parser.parse_args()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Both by hand: a shell's background job is born with SIGINT ignored, and Python leaves that so.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        return demo() if given.what == "demo" else run(given.data, given.port, given.metrics_port, given.profile)
    except (StackError, TritonServerError) as error:
        say.print(f"[red]{error}[/]")
        return 1
    except KeyboardInterrupt:
        say.print("\n  stopped")
        return 130 if given.what == "demo" else 0


if __name__ == "__main__":
    sys.exit(main())
