"""A Prometheus of Debian's package, with our rules, for a run on this machine."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from tools.process_supervisor import die_with_parent
from tools.stack_process import HOST, StackError, free_port, tail

RULES = Path(__file__).resolve().parents[1] / "deploy/monitoring/rules"
READY_S = 60.0


def command(folder: Path, rules: Sequence[Path], targets: Mapping[str, Sequence[str]], port: int) -> list[str]:
    """Writes a configuration that scrapes every second, and returns the command of a Prometheus that uses it.

    `targets` are `host:port`s by job.
    """
    jobs = [{"job_name": name, "static_configs": [{"targets": list(each)}]} for name, each in targets.items()]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": list(map(str, rules)),
        "scrape_configs": jobs,
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    program = shutil.which("prometheus")
    if program is None:
        raise StackError("there is no prometheus: apt-get install prometheus")
    options = (f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'series'}")
    return [program, *options, f"--web.listen-address={HOST}:{port}"]


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yields the address of a running Prometheus, which has the rules of deploy/monitoring. Raises StackError."""
    folder.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), folder / "prometheus.log"
    arguments = command(folder, sorted(RULES.iterdir()), targets, port)
    address = f"http://{HOST}:{port}"
    with log.open("wb") as written:
        process = subprocess.Popen(arguments, stderr=written, preexec_fn=die_with_parent)
    try:
        until = time.monotonic() + READY_S
        while not _is_ready(address):
            if process.poll() is not None or time.monotonic() > until:
                raise StackError(f"Prometheus did not start\n{tail(log)}")
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/-/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
