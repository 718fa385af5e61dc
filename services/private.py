"""What our processes write is for their own user alone: pictures, prompts, videos, keys and logs.

New files and folders are so by the umask, which every program sets before anything else and its children inherit. What
an older version has written is closed to others at the start.
"""

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077

log = logging.getLogger(__name__)


def keep_private() -> None:
    """Sets the umask: folders become 0700 and files 0600, unless a call asks for less."""
    os.umask(OTHERS)


def tighten(folder: Path, *names: str) -> None:
    """Makes a folder for its owner alone, and what is below those of its entries that match one of `names`.

    Nothing else in it is touched, for it may hold what is not ours; nor is what belongs to another user, or a folder
    that everybody writes to, such as `/tmp`, which the log says. Everything below is walked through once: in a folder
    that is closed nothing is open. Blocking.
    """
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        return
    if mode & stat.S_ISVTX:
        log.warning("the folder is shared by everybody; name one of its own", extra={"folder": str(folder)})
        return
    was_open = bool(mode & OTHERS)
    for name in names:
        for entry in folder.glob(name):
            with suppress(FileNotFoundError):
                if was_open or entry.lstat().st_mode & OTHERS:
                    _close(entry)
    if was_open:  # last: a walk that is cut short is made again
        try:
            folder.chmod(stat.S_IMODE(mode) & ~OTHERS)
        except PermissionError:
            log.warning("others may enter a folder that is not ours to close", extra={"folder": str(folder)})


def _close(entry: Path) -> None:
    """Closes a file, or a folder with all that is below it, as far as it is ours."""
    _close_one(entry)
    for above, folders, files in os.walk(entry):
        for name in (*folders, *files):
            _close_one(Path(above, name))


def _close_one(path: Path) -> None:
    with suppress(OSError):  # gone meanwhile, or another user's
        found = path.lstat()
        if not stat.S_ISLNK(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & OTHERS:
            path.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
