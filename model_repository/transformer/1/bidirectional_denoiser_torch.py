"""The bidirectional pipeline's forwards over PyTorch: the network of `wan_network`, with nothing cached.

A forward attends to its own keys and values alone, so those of one layer are written over those of the last: one pair
of buffers serves all layers and all prompts of a video. Compiling, recording and taking turns are
`kv_cache_runtime_torch`'s.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from kv_cache_runtime import Floats
from kv_cache_runtime_torch import Buffers, Replay, TorchRuntime
from position_and_time import waves
from wan_network import Memory


class TorchDenoiser:
    """One profile's weights on a device. Thread-safe."""

    def __init__(self, runtime: TorchRuntime) -> None:
        self.settings = runtime.settings
        self._runtime = runtime

    def video(self, prompts: Sequence[Floats], image_tokens: Floats | None, grid: tuple[int, int, int]) -> "TorchVideo":
        """See bidirectional_denoiser.Denoiser."""
        return TorchVideo(self._runtime, prompts, image_tokens, grid)


class TorchVideo:
    """See bidirectional_denoiser.Video."""

    def __init__(
        self, runtime: TorchRuntime, prompts: Sequence[Floats], image_tokens: Floats | None, grid: tuple[int, int, int]
    ) -> None:
        self._runtime = runtime
        frames, height, width = grid

        def on_device(given: Floats) -> torch.Tensor:
            return torch.tensor(given, dtype=torch.float32, device=runtime.device)

        with runtime.turn(self._release):
            self._release()
            self._buffers = Buffers(runtime, frames, (height, width))
            first = Memory.allocate(runtime.settings, (height, width), runtime.device, alone=frames)
            others = (replace(first, text=torch.empty_like(first.text)) for _ in prompts[1:])
            self._memories = [first, *others]
            picture = None if image_tokens is None else on_device(image_tokens)
            for memory, prompt in zip(self._memories, prompts, strict=True):
                runtime.network.project(memory, on_device(prompt), picture)

    def forward(self, prompt: int, latents: Floats, timestep: float) -> Floats:
        """See bidirectional_denoiser.Video."""
        with self._runtime.turn(self._release):
            self._buffers.put(latents, waves(self._runtime.settings.time_width, timestep), 0)
            self._run(prompt)
            return self._buffers.take()

    def end(self) -> None:
        """See bidirectional_denoiser.Video."""
        with self._runtime.turn():
            self._release()
            if self._runtime.on_gpu:
                # The next video takes minutes and this no time, and other models want the room between them.
                torch.cuda.empty_cache()

    def _run(self, prompt: int) -> None:
        """Computes at the first call for this prompt, and replays from then on where forwards are recorded."""
        if prompt in self._replays:
            self._replays[prompt]()
            return
        compute = partial(self._runtime.network, self._buffers.ends, self._memories[prompt], 0)
        compute()
        if self._runtime.record is not None:
            # At once: libraries keep what they set up for a shape in the thread that ran it.
            self._replays[prompt] = self._runtime.record(compute)

    def _release(self) -> None:
        """Gives back all that it has."""
        # Recordings go first: they point into the buffers.
        self._replays: dict[int, Replay] = {}
        self._memories: list[Memory] = []  # of each prompt; all but the keys and values of the prompt is shared
        self._buffers: Buffers | None = None
