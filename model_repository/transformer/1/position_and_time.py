"""The position in the video and the noise level, as the transformer reads them: rotary angles, and timestep embeddings.

Both are computed in float64 and rounded once, as Wan2.1 does; so the transformer takes them as inputs.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MAX_FRAMES = 1024
"""Absolute latent frames that the models' own rotary table has; nothing was trained beyond."""


def rotary(head_width: int, start: int, frames: int, height: int, width: int) -> tuple[Floats, Floats]:
    """The rotary table of `frames` latent frames from frame `start`, rows and columns counting tokens.

    cos and sin, each FP32 (frames * height * width, head_width / 2): a third of the pairs each for rows and for
    columns, the rest for frames.
    """
    side = head_width // 6
    angles = np.empty((frames, height, width, head_width // 2))
    time = head_width // 2 - 2 * side
    angles[..., :time] = _angles(np.arange(start, start + frames), time)[:, None, None]
    angles[..., time : time + side] = _angles(np.arange(height), side)[None, :, None]
    angles[..., time + side :] = _angles(np.arange(width), side)[None, None]
    table = angles.reshape(-1, head_width // 2)
    return np.cos(table).astype(np.float32), np.sin(table).astype(np.float32)


def waves(width: int, timestep: float) -> Floats:
    """The sinusoidal embedding of a timestep, FP32 (1, width): cosines of falling frequency, then sines."""
    angles = _angles(np.array([np.float32(timestep)]), width // 2)
    return np.concatenate((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)


def _angles(positions: npt.NDArray[Any], pairs: int) -> npt.NDArray[np.float64]:
    return np.outer(positions.astype(np.float64), 10000.0 ** -(np.arange(pairs) / pairs))
