"""The record of what a repository was built from, so that a second build does nothing and a digest identifies it.

`profile/1/profile.json` is the record: written last, it lists the files of the build, with the SHA-256 of each.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tools.export.profile import Profile

RECORD = Path("profile/1/profile.json")


def files(repository: Path) -> list[str]:
    """The built files, and the record itself."""
    return [*_read(repository).get("files", []), str(RECORD)]


def missing(repository: Path) -> list[str]:
    """The built files that the repository lacks; the record, if it was never built or not to the end."""
    return [file for file in _read(repository).get("files", [str(RECORD)]) if not (repository / file).is_file()]


def damaged(repository: Path) -> list[str]:
    """The built files that have changed since."""
    files = _read(repository).get("files", {})
    return [file for file, digest in files.items() if digest != _sha256(repository / file)]


def served(repository: Path) -> dict[str, Any]:
    """The answer of the model `profile` of a built repository."""
    answer: dict[str, Any] = _read(repository)["profile"]
    return answer


def source_of(profile: Profile, weights: Sequence[Path] = (), *, random: bool = False) -> str:
    """SHA-256 over the profile, the exporter's own source, and the names, sizes and times of weights.

    Weights that come with the repository count by their bytes, because the times differ in each clone. A change of any
    of these requires a new build.
    """
    digest = hashlib.sha256(json.dumps([asdict(profile), random], sort_keys=True).encode())
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    for path in weights:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if path in profile.shipped:
                digest.update(f"{file.name} {_sha256(file) if file.is_file() else ''}\n".encode())
                continue
            state = file.lstat()  # a link may lead nowhere
            digest.update(f"{file.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def is_built(repository: Path, source: str) -> bool:
    """Whether the repository holds what was made from this source, and every file is as it was written."""
    return _read(repository).get("source") == source and not missing(repository) and not damaged(repository)


def write(repository: Path, source: str, files: Sequence[str], served: dict[str, Any]) -> str:
    """Writes the record with `served`, the answer of the model `profile`. Returns the digest, which is added to it."""
    hashes = {file: _sha256(repository / file) for file in files}
    digest = hashlib.sha256("".join(f"{name} {hashes[name]}\n" for name in files).encode()).hexdigest()
    record = {"profile": {**served, "digest": digest}, "source": source, "files": hashes}
    path = repository / RECORD
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(part, path)
    return digest


def _read(repository: Path) -> dict[str, Any]:
    try:
        record = json.loads((repository / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
