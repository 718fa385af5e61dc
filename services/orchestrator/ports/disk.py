"""Room on the disks that this process writes to."""

from collections.abc import Callable

Room = Callable[[int], None]
"""Raises Unavailable when so many bytes more would leave less free than has to stay free. Waits for nothing."""


def any_room(size_bytes: int) -> None:
    """Where nobody looks at the disk."""
