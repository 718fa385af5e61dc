"""Sources of a module's weights: files; a seed, to train from; noise, to measure speed; none, to count memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar, cast

import torch
from diffusers.utils import logging
from torch import nn

from tools.export.weights import Weights, load_into

logging.set_verbosity_error()  # it warns of every cast that is not its own

Module = TypeVar("Module", bound=nn.Module)

ORDER = ("text_encoder", "image_encoder", "vae", "transformer", "tiny_vae")
"""Parts by the number that is added to a profile's seed."""

DEVIATION = 0.02
"""Of the noise."""


class ModuleWeights(Protocol):
    """Makes modules with their weights in them."""

    def module(self, part: str, make: Callable[[], Module], *, dtype: torch.dtype) -> Module:
        """The module of a part, for use.

        Raises:
            WeightsError: the files do not hold exactly what the module needs.
        """


class SeededWeights:
    """Weights from a seed, as the libraries initialise them: where training begins."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def module(self, part: str, make: Callable[[], Module], *, dtype: torch.dtype) -> Module:
        """The module as its library initialises it, from the seed and the part."""
        torch.manual_seed(self._seed + ORDER.index(part))
        made = make().eval()
        return cast(Module, made if dtype is torch.float32 else made.to(dtype))


class LoadedWeights:
    """Weights from files."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def module(self, part: str, make: Callable[[], Module], *, dtype: torch.dtype) -> Module:
        """The module with the tensors of the files. Raises WeightsError."""
        tensors = self._weights.read(part)
        with weightless():
            made = make().eval()
        if hasattr(made, "fitted"):  # its files may hold more than it takes
            tensors = made.fitted(tensors)
        load_into(made, tensors, part=part, source=self._weights.sources[part], dtype=dtype)
        return cast(Module, made)


class RandomWeights:
    """Noise of one deviation everywhere: the right sizes and speed, nothing else."""

    def module(self, part: str, make: Callable[[], Module], *, dtype: torch.dtype) -> Module:
        """The module with noise in each parameter."""
        torch.manual_seed(ORDER.index(part))
        with weightless():
            made = make().eval()
        for owner in made.modules():
            for name, parameter in list(owner.named_parameters(recurse=False)):
                drawn = torch.empty(parameter.shape, dtype=dtype).normal_(std=DEVIATION)
                setattr(owner, name, nn.Parameter(drawn, requires_grad=False))
        return cast(Module, made if dtype is torch.float32 else made.to(dtype))


class MetaWeights:
    """No weights at all: modules on the meta device, to count and to measure."""

    def module(self, part: str, make: Callable[[], Module], *, dtype: torch.dtype) -> Module:
        """The module on the meta device."""
        with torch.device("meta"):
            return cast(Module, make().eval())


@contextmanager
def weightless() -> Iterator[None]:
    """Modules made within hold their parameters on the meta device, which take no memory; their buffers are real."""
    register = nn.Module.register_parameter

    def on_meta(self: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        register(self, name, None if parameter is None else nn.Parameter(parameter.to("meta"), requires_grad=False))

    nn.Module.register_parameter = on_meta
    try:
        yield
    finally:
        nn.Module.register_parameter = register
