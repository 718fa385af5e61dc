"""The solver of the bidirectional pipeline: UniPC of order 2, multistep, over rectified flow.

Zhao et al., UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models, 2023
(https://arxiv.org/abs/2302.04867), in its variant B2(h) = e^h - 1 and in terms of the clean latents, as Wan2.1 has it
(`FlowUniPCMultistepScheduler`) and diffusers too (`UniPCMultistepScheduler` with flow sigmas). The steps of both are
the same; the grids are not, and ours is the authors': before the shift it falls evenly from 0.999 to 0. Earlier
versions of diffusers had the same; that of 0.42 falls from 1, less 1e-6 after the shift, to 0.001. A grid of any kind
can be given.

At noise level sigma the latents are x = (1 - sigma) * clean + sigma * noise, and the flow is noise - clean. The solver
steps evenly in lambda = log((1 - sigma) / sigma). Computed in float64.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

TRAINED = 1000
"""Timesteps of the training, and what the transformer calls pure noise."""


@dataclass(frozen=True)
class Schedule:
    """The noise levels of a video's steps."""

    sigmas: tuple[float, ...]
    """One more than there are steps, falling from below 1 to 0: a step leads from each to the next."""
    timesteps: tuple[int, ...]
    """The transformer's timestep at each step."""


def schedule(steps: int, shift: float) -> Schedule:
    """The authors' grid for so many steps: sigmas in single precision, timesteps cut down to whole numbers."""
    begin = float(np.float32(1 - 1 / TRAINED))
    even = np.linspace(begin, 0, steps + 1)[:-1]
    shifted = shift * even / (1 + (shift - 1) * even)
    return Schedule(
        sigmas=(*shifted.astype(np.float32).tolist(), 0.0), timesteps=tuple((shifted * TRAINED).astype(int).tolist())
    )


class UniPC:
    """Leads one video's latents from noise to clean, a step at a time."""

    def __init__(self, sigmas: tuple[float, ...]) -> None:
        self._sigmas = sigmas
        self._step = 0
        self._before: Doubles  # the latents that the last step set out from, corrected
        self._order = 0  # of the last step
        self._clean: list[Doubles] = []  # what the last two steps took for the clean latents, the newest first

    def step(self, latents: Doubles, flow: npt.NDArray[np.floating]) -> Doubles:
        """Takes the latents at this step's sigma and the flow there, and returns the latents at the next sigma.

        The flow first corrects the step that led here, which did not know it, and then predicts the next.
        """
        here, steps = self._step, len(self._sigmas) - 1
        clean = latents - self._sigmas[here] * flow
        if here > 0:
            latents = self._moved(here - 1, self._before, self._corrected(here, clean))
        self._clean = [clean, *self._clean[:1]]
        self._before = latents
        # The first step has no step before it to go by; the last goes to sigma 0, where lambda is infinite.
        self._order = min(2, here + 1, steps - here)
        self._step += 1
        return self._moved(here, latents, self._predicted(here))

    def _moved(self, step: int, latents: Doubles, clean: Doubles) -> Doubles:
        """From one sigma to the next: the exact solution, did the clean latents stay what they are taken for."""
        before, after = self._sigmas[step], self._sigmas[step + 1]
        left = after / before
        return left * latents + ((1 - after) - (1 - before) * left) * clean

    def _predicted(self, step: int) -> Doubles:
        """What the step after `step` takes for the clean latents: their present estimate, led on by the last change."""
        newest = self._clean[0]
        if self._order == 1:
            return newest
        return newest + 0.5 * (self._clean[1] - newest) / self._ratio(step)

    def _corrected(self, here: int, clean: Doubles) -> Doubles:
        """What the step that led to `here` should have taken them for, now that their estimate at its end is known."""
        newest = self._clean[0]
        if self._order == 1:
            return newest + 0.5 * (clean - newest)
        # rho_1 and rho_2 of the paper: R rho = b with R = [[1, 1], [ratio, 1]] and h negated, for clean latents.
        ratio, h = self._ratio(here - 1), -self._stride(here - 1)
        grown = math.expm1(h)
        first = (grown / h - 1) / grown
        second = 2 * ((grown / h - 1) / h - 0.5) / grown
        past = (first - second) / (1 - ratio)
        return newest + past * (self._clean[1] - newest) / ratio + (first - past) * (clean - newest)

    def _stride(self, step: int) -> float:
        """How far a step goes in lambda."""
        return self._lambda(step + 1) - self._lambda(step)

    def _ratio(self, step: int) -> float:
        """The step before `step`, backwards, over this one."""
        return -self._stride(step - 1) / self._stride(step)

    def _lambda(self, index: int) -> float:
        return math.log((1 - self._sigmas[index]) / self._sigmas[index])
