"""Which keys there are: relative, plain, and the same in a folder and in S3, so that none can lead anywhere else."""

import re

MAX_LENGTH = 512

#: A segment starts with a letter or digit: no `..`, nothing hidden, nothing that LocalBlobs calls its own.
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+=~-]*(/[A-Za-z0-9][A-Za-z0-9._@+=~-]*)*")
_MAX_SEGMENT = 255


def check_key(key: str) -> None:
    """Raises ValueError for a key that is none. Keys are ours, so a bad one is a bug here, not a caller's fault."""
    if len(key) > MAX_LENGTH or not _KEY.fullmatch(key) or max(map(len, key.split("/"))) > _MAX_SEGMENT:
        raise ValueError(f"not a blob key: {key[:MAX_LENGTH]!r}")
