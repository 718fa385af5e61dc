"""Free space on the disks that this process writes to."""

from collections.abc import Callable

Room = Callable[[int], None]
"""Raises Unavailable if so many more bytes would leave less free space than the limit. Does not block."""


def any_room(size_bytes: int) -> None:
    """For code that does not check the disk."""
