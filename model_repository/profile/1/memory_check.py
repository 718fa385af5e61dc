"""Checks, before the first job, whether this machine has the memory that a profile needs. Independent of Triton."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

GPU_QUERY = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")


class NotEnoughMemory(RuntimeError):
    """The profile can never run here; the message has what it needs, what there is, and what to do."""


def check(needs: Mapping[str, int], name: str, has: Mapping[str, int | None]) -> None:
    """Holds what a profile needs, in bytes of `gpu` and `cpu`, against what there is; None is unknown, and passes.

    Raises:
        NotEnoughMemory: a device has less.
    """
    for device, wanted in needs.items():
        there = has.get(device)
        if wanted and there is not None and there < wanted:
            raise NotEnoughMemory(
                f"NOT_ENOUGH_MEMORY: the profile {name!r} takes {wanted / 1e9:.1f} GB of {device.upper()} memory, and "
                f"there are {there / 1e9:.1f}. Export it again with less: --engine text_device=cpu, "
                "text_on_demand=true, slots=1, clips=1 or a smaller precision; --plan shows what takes how much."
            )


def present() -> dict[str, int | None]:
    """Bytes of the first GPU and of the host, as far as they are known."""
    return {"gpu": gpu(), "cpu": host()}


def gpu() -> int | None:
    """Memory of the first GPU in bytes; None if the driver's tool is missing or prints nothing."""
    if shutil.which(GPU_QUERY[0]) is None:
        return None
    query = subprocess.run(GPU_QUERY, capture_output=True, text=True, check=False, timeout=30)
    first = query.stdout.split("\n")[0].strip()
    return int(first) << 20 if query.returncode == 0 and first.isdecimal() else None


def host() -> int | None:
    """Memory of the machine in bytes, or of its control group where that is less."""
    sizes = []
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(file)
        text = path.read_text().strip() if path.is_file() else "max"
        if text.isdecimal():
            sizes.append(int(text))
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            sizes.append(int(line.split()[1]) << 10)
    return min(sizes, default=None)
