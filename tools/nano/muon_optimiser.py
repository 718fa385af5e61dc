"""Muon for matrices and kernels, Adam for everything else, in one optimiser.

Muon (Keller Jordan et al., https://kellerjordan.github.io/posts/muon) steps along the orthogonal factor of the
momentum, found by five Newton-Schulz iterations; small models learn in about half the steps that Adam takes.
"""

from collections.abc import Iterable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration, as published: steepest at 0, so singular values grow fast, to between 0.7 and 1.2."""


def orthogonal(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """About U V^T of a matrix (m, n) = U S V^T."""
    a, b, c = COEFFICIENTS
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = (x / (x.norm() + 1e-7)).bfloat16()  # it need not be exact
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if matrix.shape[0] <= matrix.shape[1] else x.T).float()


class Muon(torch.optim.Optimizer):  # type: ignore[misc]
    """`lr` is Muon's; Adam's is a tenth of it. Embeddings and other tables belong into `plain`, which Adam takes."""

    def __init__(
        self, named: Iterable[tuple[str, torch.nn.Parameter]], *, lr: float, plain: Iterable[str] = ()
    ) -> None:
        words = tuple(plain)
        groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
        for name, parameter in named:
            groups[parameter.ndim >= 2 and not any(word in name for word in words)].append(parameter)
        super().__init__([{"params": groups[True], "muon": True}, {"params": groups[False], "muon": False}], {"lr": lr})

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, closure: Any = None) -> None:
        """One step of both."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    (self._muon if group["muon"] else self._adam)(parameter, parameter.grad, group["lr"])

    def _muon(self, parameter: torch.Tensor, grad: torch.Tensor, lr: float) -> None:
        state = self.state[parameter]
        momentum = state.setdefault("momentum", torch.zeros_like(parameter))
        momentum.lerp_(grad, 0.05)
        flat = grad.lerp(momentum, 0.95).flatten(1)
        scale = max(1.0, flat.shape[0] / flat.shape[1]) ** 0.5
        parameter.mul_(1 - lr * 0.01)
        parameter.add_(orthogonal(flat).view_as(parameter), alpha=-lr * scale)

    def _adam(self, parameter: torch.Tensor, grad: torch.Tensor, lr: float) -> None:
        state = self.state[parameter]
        first = state.setdefault("first", torch.zeros_like(parameter))
        second = state.setdefault("second", torch.zeros_like(parameter))
        state["steps"] = state.get("steps", 0) + 1
        first.lerp_(grad, 0.1)
        second.lerp_(grad.square(), 0.02)
        mean, square = first / (1 - 0.9 ** state["steps"]), second / (1 - 0.98 ** state["steps"])
        parameter.addcdiv_(mean, square.sqrt() + 1e-8, value=-lr / 10)
