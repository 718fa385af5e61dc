"""Keeps the files of our processes private to their own user: pictures, prompts, videos, keys and logs.

For new files and folders the umask does this: every program sets it first, and its children inherit it. Permissions of
files from an older version are restricted at the start.
"""

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077

log = logging.getLogger(__name__)


def restrict_umask() -> None:
    """Sets the umask: folders become 0700 and files 0600, unless a call asks for less."""
    os.umask(OTHERS)


def restrict_permissions(folder: Path, *names: str) -> None:
    """Makes a folder private to its owner, and everything below those of its entries that match one of `names`.

    It changes nothing else, because the folder may have foreign files. It changes no files of other users and no folder
    that everyone may write to, such as `/tmp`, and logs that. The files are checked once: in a private folder nothing
    is accessible to others. Blocking.
    """
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        return
    if mode & stat.S_ISVTX:
        log.warning("everyone can write to the folder; use a private one", extra={"folder": str(folder)})
        return
    was_open = bool(mode & OTHERS)
    for name in names:
        for entry in folder.glob(name):
            with suppress(FileNotFoundError):
                if was_open or entry.lstat().st_mode & OTHERS:
                    _close(entry)
    if was_open:  # last: so an interrupted walk is repeated at the next start
        try:
            folder.chmod(stat.S_IMODE(mode) & ~OTHERS)
        except PermissionError:
            log.warning("a folder of another user is accessible to others", extra={"folder": str(folder)})


def _close(entry: Path) -> None:
    """Makes a file private, or a folder with everything below it, as far as they are ours."""
    _close_one(entry)
    for above, folders, files in os.walk(entry):
        for name in (*folders, *files):
            _close_one(Path(above, name))


def _close_one(path: Path) -> None:
    with suppress(OSError):  # gone meanwhile, or another user's
        found = path.lstat()
        if not stat.S_ISLNK(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & OTHERS:
            path.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
