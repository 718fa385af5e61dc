"""The measured costs, from costs.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent / "costs.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of job: what one video uses, from the submission to the end, without the upload and the download."""

    name: str
    gpu: bool
    """Whether its slots are GPUs."""
    servers: bool
    """Whether it has servers of ours at all: a vendor's slots are its own."""
    slots_per_server: int
    cores_per_server: float
    run_s: float
    """In its slot."""
    spread: float
    """Standard deviation of the logarithm of a run."""
    events: float
    fragments: float
    api_s: float
    worker_s: float
    triton_s: float
    provider_s: float
    postgres_s: float
    wal_bytes: float
    table_bytes: float
    stored_bytes: float
    measured: bool
    """False: estimated or given; nothing of it was measured."""


@dataclass(frozen=True, slots=True)
class Costs:
    """All costs."""

    kinds: Mapping[str, Kind]
    calls: Mapping[str, float]
    """Of an upload, a submission, a read, a list, a download, an open stream, an idle API."""
    events: Mapping[str, float]
    notify: Mapping[str, float]
    memory: Mapping[str, float]
    """Of an idle process, by its name."""


def load(file: Path = FILE) -> Costs:
    """Reads the file. Raises KeyError or TypeError for one that lacks something."""
    data = tomllib.loads(file.read_text())
    kinds = {name: Kind(name=name, **values) for name, values in data["kinds"].items()}
    return Costs(kinds, data["calls"], data["events"], data["notify"], data["memory"])
