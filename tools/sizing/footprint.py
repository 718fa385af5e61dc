"""`python -m tools.sizing.footprint`: the memory of an idle installation, process by process.

Two APIs, two workers, the sender of webhooks, the providers, the prompt writer and the HTTP process, as the manifests
start them, without PostgreSQL, S3 and Triton. Pages that processes share are divided between them (Pss), as in
`make containers`.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from tools import stack_vendors
from tools.sizing.usage_meter import tree
from tools.stack import Orchestrator, start_studio
from tools.stack_process import HOST, StackProcess, free_port
from tools.stack_vendors import without_keys

ROLES = ("api", "api", "worker", "worker")
SETTLED_S = 20.0
"""Time after the start: background tasks have run once, and children are there."""
SIMULATOR = "simulator"
"""What the names of simulated vendors and language models have in them; they are no part of an installation."""
FIELDS = ("Pss", "Private_Clean", "Private_Dirty", "Pss_Anon")


def memory_of(pid: int) -> Mapping[str, int]:
    """Returns bytes by field of the kernel, of one process; all 0 if it has ended."""
    found = dict.fromkeys(FIELDS, 0)
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        name, _, rest = line.partition(":")
        if name in found:
            found[name] = 1024 * int(rest.split()[0])
    return found


def memory_with_children(program: StackProcess) -> Mapping[str, int]:
    """Returns the sum over a program and its children, without the supervisor of the stack."""
    each = [memory_of(pid) for pid in tree(program.pid) if pid != program.pid]
    return {field: sum(one[field] for one in each) for field in FIELDS}


def main() -> int:
    """Prints the table."""
    with tempfile.TemporaryDirectory(prefix="i2v-footprint-") as name, ExitStack() as stack:
        folder = Path(name)
        postgres = EmbeddedPostgres(folder / "postgres")
        stack.callback(postgres.close)
        database = {"I2V_DATABASE_URL": postgres.url, "I2V_MIGRATE": "false"}
        migrate = [sys.executable, "-m", "services.orchestrator", "migrate"]
        subprocess.run(migrate, env=without_keys() | database, check=True, stdout=subprocess.DEVNULL)
        vendors = stack_vendors.start(stack, folder, simulate=True)
        programs: list[tuple[str, StackProcess]] = [
            (each.name, each) for each in vendors.programs if SIMULATOR not in each.name
        ]
        apis: list[Orchestrator] = []
        for number, role in enumerate(ROLES):
            more = vendors.settings | database | {"I2V_WORKER_NAME": f"worker-{number}"}
            started = Orchestrator(
                folder / str(number), "127.0.0.1:9", port=free_port(), metrics_port=free_port(), role=role, more=more
            )
            stack.enter_context(started)
            programs.append((role, started))
            apis.append(started)
        settings = without_keys() | database | {"I2V_METRICS_LISTEN": f"{HOST}:{(port := free_port())}"}
        sender = StackProcess(
            "the sender of webhooks",
            "services.orchestrator",
            "webhooks",
            log=folder / "webhooks.log",
            ports={"metrics": port},
            environment=settings,
            speaks_grpc=False,
        )
        programs.append((sender.name, stack.enter_context(sender)))
        programs.append(("studio", start_studio(stack, folder, apis[0].address, free_port())))
        time.sleep(SETTLED_S)
        print("| process | " + " | ".join(FIELDS) + " | children |\n|---|" + "---|" * (len(FIELDS) + 1))
        total = dict.fromkeys(FIELDS, 0)
        for what, program in programs:
            used = memory_with_children(program)
            total = {field: total[field] + used[field] for field in FIELDS}
            print(f"| {what} | " + " | ".join(f"{used[field] / 1e6:.0f} MB" for field in FIELDS), end="")
            print(f" | {len(tree(program.pid)) - 2} |")
        print("| all | " + " | ".join(f"{total[field] / 1e6:.0f} MB" for field in FIELDS) + " | |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
