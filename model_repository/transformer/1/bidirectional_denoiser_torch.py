"""The bidirectional pipeline's forwards over PyTorch: the network of `wan_network`, with nothing cached.

A forward attends to its own keys and values alone, so each layer overwrites those of the layer before: one pair of
buffers serves all layers and all prompts of a video. `network_runtime_torch` compiles, records and locks the device.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from key_value_cache import KeyValueCache
from network_runtime import Floats
from network_runtime_torch import Buffers, Replay, TorchRuntime
from position_and_time import waves


class TorchDenoiser:
    """One profile's weights on a device. Thread-safe."""

    def __init__(self, runtime: TorchRuntime) -> None:
        self.settings = runtime.settings
        self._runtime = runtime

    def video(self, prompts: Sequence[Floats], image_tokens: Floats | None, grid: tuple[int, int, int]) -> "TorchVideo":
        """Starts a video: projects its prompts and its picture."""
        return TorchVideo(self._runtime, prompts, image_tokens, grid)


class TorchVideo:
    """The buffers of one video."""

    def __init__(
        self, runtime: TorchRuntime, prompts: Sequence[Floats], image_tokens: Floats | None, grid: tuple[int, int, int]
    ) -> None:
        self._runtime = runtime
        frames, height, width = grid

        def on_device(given: Floats) -> torch.Tensor:
            return torch.tensor(given, dtype=torch.float32, device=runtime.device)

        with runtime.exclusive(self._release):
            self._release()
            self._buffers = Buffers(runtime, frames, (height, width))
            first = KeyValueCache.allocate(runtime.settings, (height, width), runtime.device, uncached=frames)
            others = (replace(first, text=torch.empty_like(first.text)) for _ in prompts[1:])
            self._caches = [first, *others]
            picture = None if image_tokens is None else on_device(image_tokens)
            for cache, prompt in zip(self._caches, prompts, strict=True):
                runtime.network.project(cache, on_device(prompt), picture)

    def forward(self, prompt: int, latents: Floats, timestep: float) -> Floats:
        """One forward over all latent frames and one prompt."""
        with self._runtime.exclusive(self._release):
            self._buffers.put(latents, waves(self._runtime.settings.time_width, timestep), 0)
            self._run(prompt)
            return self._buffers.take()

    def end(self) -> None:
        """Releases the buffers."""
        with self._runtime.exclusive():
            self._release()
            if self._runtime.on_gpu:
                # The next video takes minutes and this no time, and other models need the memory between them.
                torch.cuda.empty_cache()

    def _run(self, prompt: int) -> None:
        """Computes at the first call for this prompt, and replays from then on where forwards are recorded."""
        if prompt in self._replays:
            self._replays[prompt]()
            return
        compute = partial(self._runtime.network, self._buffers.io, self._caches[prompt], 0)
        compute()
        if self._runtime.record is not None:
            # At once: libraries keep their set-up for a shape in the thread that ran it.
            self._replays[prompt] = self._runtime.record(compute)

    def _release(self) -> None:
        """Releases all buffers."""
        # Recordings first: they hold addresses of the buffers.
        self._replays: dict[int, Replay] = {}
        self._caches: list[KeyValueCache] = []  # of each prompt; all but the keys and values of the prompt is shared
        self._buffers: Buffers | None = None
