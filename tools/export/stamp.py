"""What a repository was built from, so that building it again is a no-op and its digest names it.

`profile/1/profile.json` is the stamp: written last, it says which files belong to the build, with the SHA-256 of each.
"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tools.export.profile import Profile

STAMP = Path("profile/1/profile.json")

FILES = (
    "text_encoder/1/model.onnx",
    "image_encoder/1/model.onnx",
    "vae_encoder/1/model.onnx",
    "transformer/1/context.onnx",
    "transformer/1/block.onnx",
    "vae_decoder/1/first.onnx",
    "vae_decoder/1/next.onnx",
)
"""Everything that an export builds, relative to the repository, but the stamp itself."""


def missing(repository: Path) -> list[str]:
    """The built files that the repository lacks."""
    return [file for file in (*FILES, str(STAMP)) if not (repository / file).is_file()]


def source_of(profile: Profile) -> str:
    """SHA-256 over the profile and the exporter's own source: whatever changes either asks for a new build."""
    digest = hashlib.sha256(json.dumps(asdict(profile), sort_keys=True).encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def hashes(repository: Path) -> dict[str, str]:
    """SHA-256 of every built file."""
    return {file: hashlib.sha256((repository / file).read_bytes()).hexdigest() for file in FILES}


def is_built(repository: Path, profile: Profile) -> bool:
    """Whether the repository holds this profile, made by this exporter, and every file is as it was written."""
    if missing(repository):
        return False
    try:
        stamp = json.loads((repository / STAMP).read_text())
    except ValueError:
        return False
    return bool(stamp.get("source") == source_of(profile) and stamp.get("files") == hashes(repository))


def write(repository: Path, profile: Profile, served: dict[str, Any]) -> str:
    """Writes the stamp, with `served`, what the model `profile` tells its callers. Returns the digest, added to it."""
    files = hashes(repository)
    digest = hashlib.sha256("".join(f"{name} {files[name]}\n" for name in FILES).encode()).hexdigest()
    stamp = {"profile": {**served, "digest": digest}, "source": source_of(profile), "files": files}
    path = repository / STAMP
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(stamp, indent=1) + "\n")
    os.replace(part, path)
    return digest
