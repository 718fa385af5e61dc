"""The training loop of every part: seeded, resumable, with a log of losses, and an end by steps or by time.

The data of a step depend on the seed and its number alone, so a run that was stopped continues with the same results.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tools.nano.muon_and_adam import MuonAndAdam

Loss = Callable[[np.random.Generator, int], Mapping[str, torch.Tensor]]
"""The losses of a step by name, `loss` being what is minimised; takes the step's own generator and its number."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Length, rate and folder of a training."""

    folder: Path
    steps: int
    rate: float
    """Muon's, at its highest: it rises for the first steps and falls to zero over the last part."""
    falling: float = 0.5
    """The last part of the steps."""
    seed: int = 0
    limit_s: float = float("inf")
    """Seconds after which to stop early; a later run continues."""
    every: int = 50
    """Steps between two lines of the log."""
    plain: tuple[str, ...] = ()
    """Words in the names of tables, which Adam trains."""

    def rate_at(self, step: int) -> float:
        """The rate of a step."""
        rising, left = (step + 1) / 50, (self.steps - step) / (self.steps * self.falling)
        return self.rate * min(1.0, rising, left)


def train(module: torch.nn.Module, loss: Loss, plan: Plan, average: torch.nn.Module | None = None) -> bool:
    """Trains, and returns whether all steps are done. `average` follows as the mean of the last hundred or so steps.

    State is kept in `state.pt` of the plan's folder, losses in `log.jsonl`.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    state_file, log = plan.folder / "state.pt", plan.folder / "log.jsonl"
    trained = [(name, each) for name, each in module.named_parameters() if each.requires_grad]
    optimiser = MuonAndAdam(trained, rate=plan.rate, plain=plan.plain)
    first, spent = 0, 0.0
    if state_file.is_file():
        state = torch.load(state_file, weights_only=True)
        module.load_state_dict(state["module"])
        optimiser.load_state_dict(state["optimiser"])
        first, spent = state["step"], state["spent_s"]
        if average is not None:
            average.load_state_dict(state["average"])
    began, seen = time.monotonic(), dict[str, list[float]]()

    def keep(step: int) -> None:
        part = state_file.with_suffix(".part")
        state: dict[str, Any] = {
            "module": module.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
            "spent_s": spent + time.monotonic() - began,
        }
        torch.save(state | ({} if average is None else {"average": average.state_dict()}), part)
        os.replace(part, state_file)

    for step in range(first, plan.steps):
        if time.monotonic() - began > plan.limit_s:
            keep(step)
            return False
        optimiser.set_rate(plan.rate_at(step))
        torch.manual_seed(plan.seed * 1_000_003 + step)
        losses = loss(np.random.default_rng((plan.seed, step)), step)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_([each for _, each in trained], 1.0)
        optimiser.step()
        if average is not None:
            with torch.no_grad():
                for kept, new in zip(average.parameters(), module.parameters(), strict=True):
                    kept.lerp_(new, min(0.01, 1 / (1 + step)) if step > 100 else 1.0)
        for name, value in losses.items():
            seen.setdefault(name, []).append(float(value.detach()))
        if (step + 1) % plan.every == 0 or step + 1 == plan.steps:
            line = {"step": step + 1, "s": round(spent + time.monotonic() - began, 1)}
            line |= {name: round(float(np.mean(values)), 5) for name, values in seen.items()}
            seen.clear()
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), file=sys.stderr, flush=True)
        if (step + 1) % (4 * plan.every) == 0:
            keep(step + 1)
    keep(plan.steps)
    return True
