"""Muon for matrices and kernels, Adam for everything else: torch's own, stepped together.

Muon (Keller Jordan et al., https://kellerjordan.github.io/posts/muon) steps along the orthogonal factor of the
momentum; small models learn in about half the steps that Adam needs. torch's takes matrices only, so it gets a kernel
as a view, (out, in * height * width), of the same memory.
"""

from collections.abc import Iterable
from typing import Any

import torch


class MuonAndAdam:
    """The optimisers of one training."""

    def __init__(
        self, named: Iterable[tuple[str, torch.nn.Parameter]], *, rate: float, plain: Iterable[str] = ()
    ) -> None:
        """`rate` is Muon's. Parameters with a word of `plain` in their names, such as embeddings, are Adam's."""
        words = tuple(plain)
        self._views: list[tuple[torch.nn.Parameter, torch.nn.Parameter]] = []
        others: list[torch.nn.Parameter] = []
        for name, parameter in named:
            if parameter.ndim < 2 or any(word in name for word in words):
                others.append(parameter)
            else:
                view = parameter.detach().view(len(parameter), -1)
                self._views.append((parameter, torch.nn.Parameter(view)))
        self._optimisers: dict[str, torch.optim.Optimizer] = {}
        if self._views:
            matrices = [view for _, view in self._views]
            self._optimisers["muon"] = torch.optim.Muon(matrices, weight_decay=0.01)
        if others:
            self._optimisers["adam"] = torch.optim.Adam(others, betas=(0.9, 0.98))
        self.set_rate(rate)

    def set_rate(self, rate: float) -> None:
        """Sets Muon's rate; Adam's is a tenth of it."""
        for name, optimiser in self._optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = rate if name == "muon" else rate / 10

    def step(self) -> None:
        """One step of both; then there are no gradients."""
        for parameter, view in self._views:
            view.grad = None if parameter.grad is None else parameter.grad.flatten(1)
            parameter.grad = None
        for optimiser in self._optimisers.values():
            optimiser.step()
            optimiser.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """The state of both."""
        return {name: optimiser.state_dict() for name, optimiser in self._optimisers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from a state."""
        for name, optimiser in self._optimisers.items():
            optimiser.load_state_dict(state[name])
