"""The pictures of a part of a video, and that there are none."""

from dataclasses import dataclass


class UnreadableError(Exception):
    """The bytes are no video that is shown here; the message says why."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """The frames of a part of a video."""

    data: list[str]
    """Each a data URI."""
    fps: float

    @property
    def size(self) -> int:
        """Returns the characters of all."""
        return sum(map(len, self.data))
