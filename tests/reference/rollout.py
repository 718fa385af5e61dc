"""How Self-Forcing and Causal-Forcing make a video, written to be read: every forward pass gets the whole video so far.

After `pipeline/causal_inference.py`, `utils/wan_wrapper.py` and `utils/scheduler.py` of Self-Forcing
(https://github.com/guandeh17/Self-Forcing). They keep keys and values of clean frames in a cache; here these frames are
computed again each time, at timestep 0, each attending to what it attended to when cached.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tests.reference.wan import Wan

Noise = Callable[[int, int, int], Tensor]
"""(start, end, step) -> (1, C, end - start, h, w): what a block starts from, at step 0, and is noised with again."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to make videos: the settings of the authors' configurations."""

    frames_per_block: int
    steps: tuple[int, ...] = (1000, 750, 500, 250)
    """Before the shift."""
    first_steps: tuple[int, ...] = ()
    """Of the first block that is made, where they differ (Causal-Forcing: denoising_step_list_first_chunk)."""
    shift: float = 5.0
    independent_first_frame: bool = True
    window: int = 0
    """Frames that a block sees at most, its own and the sink's among them (local_attn_size); 0: all."""
    sink: int = 0
    """The first frames of the video, which are always seen (sink_size)."""

    def blocks(self, frames: int, *, given: bool) -> list[tuple[int, int]]:
        """All blocks of a video, as [start, end); the first is the picture's latent where one is given."""
        first = 1 if given or self.independent_first_frame else self.frames_per_block
        ends = list(range(first, frames + 1, self.frames_per_block))
        return list(zip([0, *ends], ends, strict=False))

    def sees(self, blocks: list[tuple[int, int]]) -> Tensor:
        """(F, F): which frames the frames of each block see: no later ones, and of earlier ones the window."""
        seen = torch.zeros(blocks[-1][1], blocks[-1][1], dtype=torch.bool)
        for start, end in blocks:
            seen[start:end, :end] = True
            if self.window and end > self.window:
                seen[start:end, self.sink : end - (self.window - self.sink)] = False
        return seen


class Schedule:
    """A thousand timesteps of rectified flow, shifted towards noise, and how noisy latents are at each."""

    def __init__(self, shift: float) -> None:
        even = torch.linspace(1, 0, 1001)[:-1]
        self.sigmas = shift * even / (1 + (shift - 1) * even)
        self.timesteps = self.sigmas * 1000

    def warped(self, steps: tuple[int, ...]) -> list[Tensor]:
        """The timesteps that the model gets for evenly counted steps."""
        return list(torch.cat((self.timesteps, torch.zeros(1)))[1000 - torch.tensor(steps)])

    def sigma(self, timestep: Tensor) -> Tensor:
        """Of the timestep of the thousand that is nearest."""
        return self.sigmas[(self.timesteps.double() - timestep.double()).abs().argmin()]


def rollout(
    model: Wan, way: Way, *, prompt: Tensor, picture: Tensor | None, given: Tensor | None, frames: int, noise: Noise
) -> Tensor:
    """A video of `frames` latent frames, (1, C, frames, h, w).

    `given` is the latent of the picture, (1, C, 1, h, w), or none; `prompt` and `picture` are what the model reads.
    """
    schedule = Schedule(way.shift)
    blocks = way.blocks(frames, given=given is not None)
    steps, first_steps = (schedule.warped(each) for each in (way.steps, way.first_steps or way.steps))
    video = noise(0, 1, 0)[:, :, :0] if given is None else given
    made = blocks if given is None else blocks[1:]
    for start, end in made:
        sees = way.sees([block for block in blocks if block[1] <= end])
        timesteps = first_steps if start == made[0][0] else steps
        x = noise(start, end, 0)
        for step, timestep in enumerate(timesteps):
            times = torch.zeros(end).masked_fill(torch.arange(end) >= start, timestep)
            flow = model(torch.cat((video, x), dim=2), times, sees, prompt, picture)[:, :, start:]
            clean = (x.double() - schedule.sigma(timestep).double() * flow.double()).float()
            if step + 1 < len(timesteps):
                sigma = schedule.sigma(timesteps[step + 1])
                x = (1 - sigma) * clean + sigma * noise(start, end, step + 1)
        video = torch.cat((video, clean), dim=2)
    return video
