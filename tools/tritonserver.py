"""Runs the `tritonserver` binary of the nvidia-pytriton wheel on our model repository: `python -m tools.tritonserver`.

For development and tests only: the wheel's Triton is old and is never to be exposed. It listens on 127.0.0.1 unless it
has a container of its own, ends with the process that started it, and leaves nothing behind but its log.
"""

import argparse
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self
from uuid import uuid4

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from services.file_permissions import restrict_umask
from services.rpc.channel import DIRECT
from tools.export import build_record
from tools.process_supervisor import ended
from tools.stack_process import free_port
from tools.start_wait import Say, StartWait, on_stderr, why
from tools.triton_backends import BACKENDS, assemble_backends, find_wheel, install
from tools.triton_processes import ModelProcesses
from tools.triton_server_error import TritonServerError

HOST = "127.0.0.1"

ERROR_LINE = re.compile(r"E\d{4} (?!.*CudaDriverHelper)")
"""Lines of the log that are errors; a missing GPU is none."""

SUPERVISOR = Path(__file__).resolve().parent / "process_supervisor.py"


class TritonServer:
    """A Triton on this machine, as a context manager: ready after start(), ended after stop().

    Must be started from a thread that runs as long as the server: the kernel ends it with the thread that started it.
    """

    def __init__(
        self,
        repository: Path = Path("model_repository"),
        *,
        state: Path = Path("var/triton"),
        grpc_port: int | None = None,
        http_port: int | None = None,
        metrics_port: int | None = None,
        address: str = HOST,
        ready_within_s: float = 180,
        say: Say = on_stderr,
    ) -> None:
        """Nothing starts yet. Missing ports are chosen from free ones; the backends and the logs are in `state`.

        It listens on `address`. `say` is called with what a long start waits for.
        """
        self.repository = repository.resolve()
        self._state = state.resolve()
        self._address = address
        self._ready_within_s = ready_within_s
        self._say = say
        given = {"grpc": grpc_port, "http": http_port, "metrics": metrics_port}
        self._given = {name: port for name, port in given.items() if port is not None}
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._shm = f"i2v_{uuid4().hex[:12]}_"
        self._processes = ModelProcesses(self._shm)
        self.log = self._state / "logs" / f"triton-{os.getpid()}-{self._shm[4:-1]}.log"

    @property
    def _models(self) -> set[str]:
        return {file.parent.name for file in self.repository.glob("*/config.pbtxt")}

    @property
    def _on_demand(self) -> set[str]:
        """Models that are loaded and unloaded as they are needed."""
        return {"text_encoder"} if build_record.served(self.repository)["text_on_demand"] else set()

    @property
    def grpc_address(self) -> str:
        """`host:port` of the gRPC service."""
        return f"{HOST}:{self._ports['grpc']}"

    @property
    def http_address(self) -> str:
        """`host:port` of the HTTP service."""
        return f"{HOST}:{self._ports['http']}"

    @property
    def metrics_address(self) -> str:
        """`host:port` of the Prometheus page, /metrics."""
        return f"{HOST}:{self._ports['metrics']}"

    @property
    def running(self) -> bool:
        """Whether the process runs, ready or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process that supervises the server."""
        assert self._process is not None
        return self._process.pid

    @property
    def dead_models(self) -> list[str]:
        """Names of the models whose process has ended while the server runs: Triton does not start it again."""
        return self._processes.dead_models()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Starts the server and returns when every model is ready and a known tensor was returned unchanged.

        Raises:
            TritonServerError: something is missing, or the server failed; it has ended then.
        """
        if missing := build_record.missing(self.repository):
            raise TritonServerError(f"{self.repository.name} lacks {missing[0]}: run `make models`")
        if damaged := build_record.damaged(self.repository):
            raise TritonServerError(
                f"{self.repository.name}: {damaged[0]} is not as it was built: run `make models` again"
            )
        wheel = find_wheel()
        binary = wheel / "bin" / "tritonserver"
        if not os.access(binary, os.X_OK):
            install(binary, self._state / "bin" / binary.name, mode=0o700)
            binary = self._state / "bin" / binary.name
        backends = assemble_backends(wheel, self._state / "backends")
        for attempt in range(3):
            self._ports = free_ports() | self._given
            self._launch(binary, backends, wheel)
            try:
                self._wait_until_ready()
                self._self_test()
                self._processes.find(except_models=self._on_demand)
                return self
            except TritonServerError:
                self.stop()
                # Another process may have taken a free port before the server did.
                if attempt == 2 or "Address already in use" not in self.log.read_text(errors="replace") or self._given:
                    raise
            except BaseException:
                self.stop()
                raise
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """Ends the server and all its processes; without effect when it is not running."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait()

    def wait(self) -> int:
        """Waits for the server to end by itself and returns its exit code."""
        return 0 if self._process is None else ended(self._process)

    def _launch(self, binary: Path, backends: Path, wheel: Path) -> None:
        command = [str(binary), f"--model-repository={self.repository}", f"--backend-directory={backends}"]
        for kind, port in self._ports.items():
            command += [f"--{kind}-port={port}", f"--{kind}-address={self._address}"]
        command += ["--disable-auto-complete-config", "--allow-gpu-metrics=false", "--exit-timeout-secs=3"]
        if self._on_demand:
            command.append("--model-control-mode=explicit")
            command += [f"--load-model={model}" for model in sorted(self._models - self._on_demand)]
        command += ["--pinned-memory-pool-byte-size=0"]
        # Every backend that is written in Python has its own shared memory.
        for backend in ("python", *(folder.name for folder in BACKENDS.iterdir() if folder.is_dir())):
            command.append(f"--backend-config={backend},shm-region-prefix-name={self._shm}{backend}")
        environment = os.environ | {
            # The stub embeds a Python that takes the packages of the first python3 of PATH, and ignores PYTHONPATH.
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
            "LD_LIBRARY_PATH": str(wheel.parent.parent / "nvidia_pytriton.libs"),
            "OPENBLAS_NUM_THREADS": "1",
        }
        if not any("KIND_GPU" in (self.repository / model / "config.pbtxt").read_text() for model in self._models):
            environment["CUDA_VISIBLE_DEVICES"] = ""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        supervised = [sys.executable, "-I", "-S", str(SUPERVISOR), str(os.getpid()), self._shm, *command]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                supervised, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _wait_until_ready(self) -> None:
        what = f"Triton and its models at {self.grpc_address}"
        wait = StartWait(what, within_s=self._ready_within_s, look_s=0.1, say=self._say)
        with grpc.insecure_channel(self.grpc_address, options=[DIRECT]) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            while self.running:
                missing = "it loads its models"
                try:
                    if stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=1).ready:
                        return
                except grpc.RpcError as error:
                    missing = why(error)
                if not wait.goes_on(f"{missing}; its log is {self.log}"):
                    raise TritonServerError(
                        f"Triton was not ready within {self._ready_within_s:.0f} s: {missing}\n{self._error_lines()}"
                    )
        raise TritonServerError(f"Triton did not start\n{self._error_lines()}")

    def _self_test(self) -> None:
        """Sends a known tensor: with a numpy that does not fit the wheel's stub, every tensor is corrupted silently."""
        probe = (0.5, -1.0, 3.25)
        request = service_pb2.ModelInferRequest(model_name="profile")
        request.inputs.add(name="probe", datatype="FP32", shape=[3])
        request.outputs.add(name="echo")
        request.raw_input_contents.append(struct.pack("<3f", *probe))
        with grpc.insecure_channel(self.grpc_address, options=[DIRECT]) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            try:
                echo = stub.ModelInfer(request, timeout=10).raw_output_contents[0]
            except grpc.RpcError as error:
                raise TritonServerError(f"Triton failed its self-test: {error}") from error
        if echo != struct.pack("<3f", *(2 * number for number in probe)):
            raise TritonServerError("Triton corrupts tensors: its Python backend needs numpy < 2 in this environment")

    def _error_lines(self) -> str:
        """Returns the few lines of the log that show what went wrong."""
        text = self.log.read_text(errors="replace")
        lines = [re.sub(r"^E\d+ [\d:.]+ \d+ ", "", line) for line in text.splitlines() if re.match(ERROR_LINE, line)]
        chosen = list(dict.fromkeys(lines))[:8] or text.splitlines()[-8:]
        return "\n".join((*(f"  {line[:300]}" for line in chosen), f"  the whole log: {self.log}"))


def free_ports() -> dict[str, int]:
    """Three ports that no process uses now."""
    ports: set[int] = set()
    while len(ports) < 3:
        ports.add(free_port())
    return dict(zip(("grpc", "http", "metrics"), ports, strict=True))


def main() -> int:
    """Serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m tools.tritonserver", description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--state", type=Path, default=Path("var/triton"), help="where backends and logs go")
    parser.add_argument("--address", default=HOST, help="where it listens; in a container all of it, 0.0.0.0")
    for kind in ("grpc", "http", "metrics"):
        parser.add_argument(f"--{kind}-port", type=int, help="default: a free one")
    options = parser.parse_args()
    restrict_umask()
    server = TritonServer(**vars(options))

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        with server:
            print(
                f"ready: grpc {server.grpc_address}  http {server.http_address}  metrics {server.metrics_address}",
                flush=True,
            )
            print(f"log: {server.log}", flush=True)
            code = server.wait()
            print(f"Triton ended by itself with code {code}\n{server._error_lines()}", file=sys.stderr)
            return 1
    except TritonServerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
