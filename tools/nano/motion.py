"""Motions: how a picture moves in a clip, as numbers, and the clip that they make of it.

A clip is computed from its first frame alone: what comes into view at an edge is the picture mirrored. So nothing in it
is random, and a model can learn all of it.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch.nn import functional

CYCLE = 40
"""Frames of one sway, ripple or pulse."""

LAST = 80
"""The last frame of the longest clip."""


@dataclass(frozen=True)
class Motion:
    """Amounts of each motion; 0 is none, 1 its usual pace. Pans, tilts and zooms are the camera's."""

    pan_right: float = 0
    """The camera looks further right, so that what is seen moves left; negative: left."""
    pan_down: float = 0
    zoom_in: float = 0
    rotate_clockwise: float = 0
    """Of what is seen."""
    tilt_up: float = 0
    """The camera leans back: what is seen moves down, and its upper part comes closer together."""
    sway: float = 0
    """From side to side, the more the higher."""
    ripple: float = 0
    """As seen through moving water."""
    drift: float = 0
    """A little sideways and a little closer: the motion without a prompt."""
    pulse: float = 0
    """Brighter and darker."""

    def numbers(self) -> list[float]:
        """All of them, in their order."""
        return [getattr(self, each.name) for each in fields(self)]


KINDS = tuple(each.name for each in fields(Motion))


def places(motion: Motion, frames: int, height: int, width: int) -> torch.Tensor:
    """The position in the picture of each pixel of each frame, (frames, height, width, 2), x before y, in [-1, 1]."""
    f = torch.arange(frames, dtype=torch.float32).view(-1, 1, 1)
    y = torch.arange(height, dtype=torch.float32).view(1, -1, 1) - (height - 1) / 2
    x = torch.arange(width, dtype=torch.float32).view(1, 1, -1) - (width - 1) / 2
    turn, side = 2 * np.pi / CYCLE, min(height, width) / 128
    begun = (f / 12).clamp(max=1)
    # The last step on the way to the screen is undone first.
    x = x - side * motion.sway * 7 * torch.sin(turn * f) * (0.5 - y / height)
    x = x + side * motion.ripple * 2.5 * begun * torch.sin(2 * np.pi * y / 36 - turn * 2 * f)
    y = y + side * motion.ripple * 2.0 * begun * torch.sin(2 * np.pi * x / 44 - turn * 2 * f)
    lean = motion.tilt_up * f / LAST
    x, y = x * (1 - 0.35 * lean * y / height), y - side * 30 * lean * (1 + 0.3 * y / height)
    closer = torch.exp(-(0.008 * motion.zoom_in + 0.0012 * motion.drift) * f)
    angle = -0.008 * motion.rotate_clockwise * f
    x, y = (
        closer * (torch.cos(angle) * x - torch.sin(angle) * y),
        closer * (torch.sin(angle) * x + torch.cos(angle) * y),
    )
    x = x + side * (0.7 * motion.pan_right + 0.16 * motion.drift) * f
    y = y + side * (0.5 * motion.pan_down - 0.06 * motion.drift) * f
    return torch.stack((2 * x / (width - 1), 2 * y / (height - 1)), dim=-1)


def light(motion: Motion, frames: int) -> torch.Tensor:
    """The brightness of each frame, (frames,)."""
    return 1 + 0.25 * motion.pulse * torch.sin(2 * np.pi / CYCLE * torch.arange(frames))


def clip(picture: torch.Tensor, motion: Motion, frames: int) -> torch.Tensor:
    """The picture, (3, H, W) in [-1, 1], moved: (frames, 3, H, W) in [-1, 1], frame 0 being the picture."""
    where = places(motion, frames, *picture.shape[1:])
    many = picture.expand(frames, -1, -1, -1)
    moved = functional.grid_sample(many, where, mode="bicubic", padding_mode="reflection", align_corners=True)
    return ((moved + 1) * light(motion, frames).view(-1, 1, 1, 1) - 1).clamp(-1, 1)
