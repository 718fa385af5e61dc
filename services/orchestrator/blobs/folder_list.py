"""The blobs in a folder and in the folders below it, in the order in which S3 lists keys."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from services.orchestrator.ports.blobs import StoredBlob


def stored_blobs(root: Path, folder: str, after: str, limit: int) -> list[StoredBlob]:
    """Returns the blobs under `folder` (ends with a slash, or is empty) whose keys follow `after`, at most `limit`.

    Blocking. Raises OSError.
    """
    return list(islice(_below(root, folder, after), limit))


def _below(root: Path, folder: str, after: str) -> Iterator[StoredBlob]:
    try:
        with os.scandir(root / folder) as entries:
            # A folder sorts with its slash, as its keys do: "a-b" and "a.b" come before "a/b".
            names = [f"{each.name}/" if each.is_dir() else each.name for each in entries if each.name[0] != "."]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in sorted(names):
        key = f"{folder}{name}"
        if key.endswith("/"):
            if key > after or after.startswith(key):
                yield from _below(root, key, after)
        elif key > after:
            with suppress(FileNotFoundError):
                found = (root / key).stat()
                yield StoredBlob(key, datetime.fromtimestamp(found.st_mtime, UTC), found.st_size)
