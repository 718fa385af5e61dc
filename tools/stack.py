"""The whole stack on one machine, for development: `python -m tools.stack run` keeps it, `demo` makes one video.

PostgreSQL, Triton and the orchestrator are processes of their own, and where there are remote models a provider for
each vendor and the prompt writer; with `--simulate` the vendors too. Whatever ends this one ends them.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape

from services.file_permissions import restrict_permissions, restrict_umask
from tools import stack_vendors
from tools.export import build_record, repository_folder
from tools.process_supervisor import die_with_parent
from tools.sign_in_link import sign_in_link
from tools.stack_folder import StackFolder
from tools.stack_process import HOST, StackError, StackProcess, free_port, refuse_taken, tail
from tools.stack_vendors import VendorProcesses, without_keys
from tools.start_wait import Say, on_stderr
from tools.triton_server_error import TritonServerError
from tools.tritonserver import TritonServer

DATA = Path("var")
PORT = 50051
PICTURE = Path("tests/golden/cat.png")
PROMPT = "the camera pans to the left"
NANO = "nano"
CARDS = Path("deploy/config/cards")
"""The cards of the profiles that are not served by default."""
READY_MODELS_S = 600.0
"""Gigabytes of weights take their time."""
STUDIO_PORT = 50080
LOOK_S = 1.0

say = Console(highlight=False, soft_wrap=True)


class Orchestrator(StackProcess):
    """`python -m services.orchestrator` as a child."""

    def __init__(
        self,
        data: Path,
        triton: str,
        *,
        port: int,
        metrics_port: int,
        role: str = "all",
        module: str = "services.orchestrator",
        cards: Path | None = None,
        more: Mapping[str, str] | None = None,
        say: Say = on_stderr,
    ) -> None:
        """`module` is what runs; `more` are further settings; `say` is called with what a long start waits for."""
        self.metrics = f"http://{HOST}:{metrics_port}/metrics"
        self.key_file, self.operator_key_file = data / "dev-key", data / "operator-key"
        _make_key(self.operator_key_file)
        environment = without_keys() | {
            "I2V_DATA": str(data),
            "I2V_LISTEN": f"{HOST}:{port}",
            "I2V_METRICS_LISTEN": f"{HOST}:{metrics_port}",
            "I2V_TRITON": triton,
            "I2V_DEV_KEY_FILE": str(self.key_file),
            "I2V_OPERATOR_KEY_FILE": str(self.operator_key_file),
            **(more or {}),
        }
        if cards is not None:
            environment["I2V_MODELS_FILE"] = str(cards)
        super().__init__(
            "the orchestrator",
            module,
            role,
            log=data / "orchestrator.log",
            ports={"gRPC": port, "metrics": metrics_port},
            environment=environment,
            say=say,
        )


def _make_key(file: Path) -> None:
    """Makes a file with a random key that only its owner can read, if it does not exist."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_urlsafe(32) + "\n")


@contextmanager
def waiting(text: str) -> Iterator[Say]:
    """Reports what is being started, and yields a function for details. A terminal shows them on one line."""
    if say.is_terminal:
        with say.status(text) as status:
            yield lambda more: status.update(f"{text} {escape(more)}")
    else:
        say.print(f"  {text}")
        yield lambda more: say.print(f"  {escape(more)}")


def start(
    stack: ExitStack,
    data: Path,
    *,
    port: int,
    metrics_port: int,
    profile: str = NANO,
    remote: VendorProcesses | None = None,
) -> tuple[TritonServer, Orchestrator]:
    """Starts Triton, then PostgreSQL and the orchestrator. Raises StackError, TritonServerError."""
    settings = remote.settings if remote else {}
    refuse_taken({"gRPC": port, "metrics": metrics_port})
    models = repository_folder.default(profile)
    cards = None if profile == NANO else CARDS / f"{profile}.toml"
    if not (models / build_record.RECORD).is_file():
        raise StackError(f"the profile {profile!r} is not built: make models PROFILE={profile} WEIGHTS='PATH …'")
    began = time.monotonic()
    with waiting("starting Triton with its models …") as more:
        triton = stack.enter_context(
            TritonServer(models, state=data / "triton", ready_within_s=READY_MODELS_S, say=more)
        )
    say.print(f"  [green]✓[/] Triton              {triton.grpc_address}   [dim]{time.monotonic() - began:.1f} s[/]")
    began = time.monotonic()
    with waiting("starting PostgreSQL and the orchestrator …") as more:
        orchestrator = stack.enter_context(
            Orchestrator(
                data, triton.grpc_address, port=port, metrics_port=metrics_port, cards=cards, more=settings, say=more
            )
        )
    say.print(f"  [green]✓[/] PostgreSQL, i2v     {orchestrator.address}   [dim]{time.monotonic() - began:.1f} s[/]")
    return triton, orchestrator


def start_vendors(stack: ExitStack, data: Path, *, simulate: bool) -> VendorProcesses:
    """Starts what remote models need, if there are any, and says which. Raises StackError."""
    began = time.monotonic()
    with waiting("starting the vendors' providers and the prompt writer …") as more:
        remote = stack_vendors.start(stack, data, simulate=simulate, say=more)
    if remote.providers:
        what = "[yellow]SIMULATED[/]" if simulate else "at the real vendors, [yellow]for real money[/]"
        names = ", ".join(remote.providers)
        say.print(f"  [green]✓[/] Remote models       {names}: {what}   [dim]{time.monotonic() - began:.1f} s[/]")
    return remote


def start_studio(
    stack: ExitStack, data: Path, api: str, port: int, more: Mapping[str, str] | None = None
) -> StackProcess:
    """Starts the HTTP process; `more` are further settings. Raises StackError."""
    metrics_port = free_port()
    studio = StackProcess(
        "the HTTP process",
        "services.studio",
        log=data / "studio.log",
        ports={"HTTP": port, "metrics": metrics_port},
        environment=without_keys()
        | {
            "I2V_STUDIO_LISTEN": f"{HOST}:{port}",
            "I2V_STUDIO_METRICS_LISTEN": f"{HOST}:{metrics_port}",
            "I2V_STUDIO_API": api,
            **(more or {}),
        },
        speaks_grpc=False,
    )
    return stack.enter_context(studio)


def run(data: Path, port: int, metrics_port: int, studio_port: int, profile: str, *, simulate: bool = False) -> int:
    """Keeps the stack running until Ctrl-C or SIGTERM. Raises StackError when a part of it has died."""
    with ExitStack() as stack:
        refuse_taken({"gRPC": port, "metrics": metrics_port, "HTTP": studio_port})
        taken = f"another `make run` uses the folder {data}; stop it, or take another folder with --data"
        folder = stack.enter_context(StackFolder(data, taken))
        remote = start_vendors(stack, data, simulate=simulate)
        remote.settings.setdefault("I2V_STUDIO_URL", f"http://{HOST}:{studio_port}")
        # Webhooks may come to this machine: a developer's receiver runs here.
        remote.settings.setdefault("I2V_WEBHOOK_PRIVATE_HOSTS", os.environ.get("I2V_WEBHOOK_PRIVATE_HOSTS", HOST))
        triton, orchestrator = start(stack, data, port=port, metrics_port=metrics_port, profile=profile, remote=remote)
        studio = start_studio(stack, data, orchestrator.address, studio_port)
        i2v, page = ".venv/bin/i2v", f"http://{HOST}:{studio_port}/"
        if (data, port) != (DATA, PORT):
            i2v += f" --server {orchestrator.address} --key-file {orchestrator.key_file}"
        say.print(
            f"\n  gRPC      {orchestrator.address}\n"
            f"  page      {page}\n"
            f"  sign in   {sign_in_link(orchestrator.address, orchestrator.key_file) or page}\n"
            f"            (once, within ten minutes; another one: {i2v} open)\n"
            f"  HTTP      {studio.address} (/v1, signed URLs)\n"
            f"  metrics   {orchestrator.metrics}\n"
            f"  key       in {orchestrator.key_file} (tenant `development`)\n"
            f"  operator  in {orchestrator.operator_key_file} (for `i2v admin`)\n"
            f"  log       {orchestrator.log}\n\n"
            f"  try:      {i2v} generate --image {PICTURE} --prompt 'it looks up' --out cat.mp4"
        )
        if simulate:
            say.print(
                f"            {i2v} models\n\n"
                "  Remote models are SIMULATED: no vendor is asked, nothing is paid, and their videos only zoom."
            )
        say.print("\n  Ctrl-C stops everything.")
        while True:
            time.sleep(LOOK_S)
            if not folder.there:
                raise StackError(f"the folder {data} was removed; everything is stopped")
            if not triton.running:
                raise StackError(f"Triton has died; everything is stopped\n{tail(triton.log)}")
            if dead := triton.dead_models:
                raise StackError(
                    f"the process of Triton's model {dead[0]} has died; everything is stopped\n{tail(triton.log)}"
                )
            for program in (orchestrator, studio, *remote.programs):
                if not program.lives:
                    raise StackError(f"{program.name} has died; everything is stopped\n{tail(program.log)}")


def demo() -> int:
    """Turns a picture of the repository into a video, on free ports and with data of its own."""
    data = DATA / "demo"
    with ExitStack() as stack:
        stack.enter_context(
            StackFolder(data, "another `make demo` runs in this checkout; wait for its end, or stop it")
        )
        _, orchestrator = start(stack, data, port=free_port(), metrics_port=free_port())
        out = data / "cat.mp4"
        say.print(f"\n  {PICTURE} ⟶ {out}   [dim]“{PROMPT}”[/]")
        command = [sys.executable, "-m", "services.client.cli", "--server", orchestrator.address]
        command += ["--key-file", str(orchestrator.key_file), "generate"]
        command += ["--image", str(PICTURE), "--prompt", PROMPT, "--out", str(out)]
        environment = os.environ | {"GRPC_VERBOSITY": "ERROR"}
        client = subprocess.Popen(command, env=environment, preexec_fn=die_with_parent)
        while True:
            try:
                if (code := client.wait()) == 0:
                    say.print(f"\n  the page: `make run`, then http://{HOST}:{STUDIO_PORT}/")
                return code
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
    kept.add_argument("--studio-port", type=int, default=STUDIO_PORT)
    kept.add_argument("--profile", default=NANO, help="which of the profiles that are built")
    kept.add_argument("--simulate", action="store_true", help="remote models too, of simulated vendors")
    given = parser.parse_args()
    restrict_umask()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        with suppress(OSError):  # at once, for the programs take seconds; past Python's buffer, which may be in use
            os.write(sys.stdout.fileno(), "\n  stopping …\n".encode())
        raise KeyboardInterrupt

    # Both by hand: a shell's background job is born with SIGINT ignored, and Python leaves that so.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        restrict_permissions(DATA if given.what == "demo" else given.data, "demo", "triton", "*.log", "*-key")
        if given.what == "demo":
            return demo()
        ports = (given.port, given.metrics_port, given.studio_port)
        return run(given.data, *ports, given.profile, simulate=given.simulate)
    except (StackError, TritonServerError) as error:
        say.print(f"[red]{escape(str(error))}[/]")
        return 1
    except PermissionError as error:
        say.print(f"[red]{escape(str(error.filename))} is another user's, perhaps root's: remove it[/]")
        return 1
    except KeyboardInterrupt:
        say.print("\n  stopped")
        return 130 if given.what == "demo" else 0


if __name__ == "__main__":
    sys.exit(main())
