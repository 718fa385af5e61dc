"""How much room the disks have: looked at from time to time, so that who asks need not wait for a disk."""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from services.errors import Unavailable

RETRY_S = 10.0
LEAST_FILES = 1000
"""Files that can still be made; a file system that does not count them says that it has none at all."""


class Disks:
    """The disks below some folders, each with the word that metrics know it by."""

    def __init__(
        self, places: Mapping[str, Path], least_bytes: int, least_share: float, show: Callable[[str, int], None]
    ) -> None:
        """Each keeps `least_bytes` free, or `least_share` (0 to 1) of the disk where that is less.

        `show` gets the room of each place, at every look.
        """
        self._places = dict(places)
        self._least_bytes = least_bytes
        self._least_share = least_share
        self._show = show
        self._spare: dict[str, float] = {}
        """Bytes beyond what must stay free."""

    async def measure(self) -> None:
        """Looks how much room there is now. Raises OSError."""
        for place, folder in self._places.items():
            found = await asyncio.to_thread(_statvfs, folder)
            has_files = found.f_files == 0 or found.f_favail >= LEAST_FILES
            free = found.f_bavail * found.f_frsize
            self._show(place, free)
            kept = min(self._least_bytes, self._least_share * found.f_blocks * found.f_frsize)
            self._spare[place] = free - kept if has_files else -1

    def room(self, size_bytes: int) -> None:
        """See Room: by what the last look has found."""
        for place, spare in self._spare.items():
            if size_bytes > spare:
                message = "The service has too little room on its disk. Try again later; nothing was charged."
                raise Unavailable(message, reason="DISK_FULL", retry_after_s=RETRY_S, metadata={"place": place})


def _statvfs(folder: Path) -> os.statvfs_result:
    while not folder.exists():  # it is made when it is needed
        folder = folder.parent
    return os.statvfs(folder)
