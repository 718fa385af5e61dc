"""The free space of the disks: measured periodically, so that a check need not wait for a disk."""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from services.errors import Unavailable
from services.reasons import ServiceReason

RETRY_S = 10.0
LEAST_FILES = 1000
"""Free inodes to keep, at least; a file system that does not count inodes reports that it has none in total."""


class DiskSpace:
    """The disks of some folders, each with its name in metrics."""

    def __init__(
        self, places: Mapping[str, Path], least_bytes: int, least_share: float, show: Callable[[str, int], None]
    ) -> None:
        """Keeps `least_bytes` free on each disk, or `least_share` (0 to 1) of the disk if that is less.

        `show` is called with the free bytes of each place at every measurement.
        """
        self._places = dict(places)
        self._least_bytes = least_bytes
        self._least_share = least_share
        self._show = show
        self._spare: dict[str, float] = {}
        """Free bytes beyond those that are kept free."""

    async def measure(self) -> None:
        """Measures the free space. Raises OSError."""
        for place, folder in self._places.items():
            found = await asyncio.to_thread(_statvfs, folder)
            has_files = found.f_files == 0 or found.f_favail >= LEAST_FILES
            free = found.f_bavail * found.f_frsize
            self._show(place, free)
            kept = min(self._least_bytes, self._least_share * found.f_blocks * found.f_frsize)
            self._spare[place] = free - kept if has_files else -1

    def room(self, size_bytes: int) -> None:
        """Raises Unavailable if the last measurement leaves no room for so many bytes."""
        for place, spare in self._spare.items():
            if size_bytes > spare:
                message = "The service has too little space on its disk. Try again later; nothing was charged."
                raise Unavailable(
                    message, reason=ServiceReason.DISK_FULL, retry_after_s=RETRY_S, metadata={"place": place}
                )


def _statvfs(folder: Path) -> os.statvfs_result:
    while not folder.exists():  # it is made when it is needed
        folder = folder.parent
    return os.statvfs(folder)
