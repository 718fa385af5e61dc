"""A viewer who plays a video while it is made: whether each fragment comes before it is needed."""

from dataclasses import dataclass

FPS = 16


@dataclass(slots=True)
class Playback:
    """Begins with the first fragment, and plays 16 frames a second."""

    frames: int = 0
    """Those that are there."""
    began: float = 0.0
    """When the first fragment came, in seconds of the loop's clock."""

    def add(self, frames: int, now: float) -> bool | None:
        """Adds a fragment. Returns whether it comes before the viewer needs it; None for the first one."""
        early = None if self.frames == 0 else now <= self.began + self.frames / FPS
        if early is None:
            self.began = now
        self.frames += frames
        return early
