"""The video that the benchmarks of the models make, and the clock that times its stages."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

HEIGHT, WIDTH = 128, 224
PROMPT = "a cat walks along the beach at sunset"


@contextmanager
def timed(times: dict[str, float], name: str) -> Iterator[None]:
    """Puts the seconds that the body takes into `times`."""
    began = time.perf_counter()
    yield
    times[name] = time.perf_counter() - began


def a_picture() -> torch.Tensor:
    """(1, 3, H, W) in [-1, 1]: always the same."""
    return torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 2 - 1
