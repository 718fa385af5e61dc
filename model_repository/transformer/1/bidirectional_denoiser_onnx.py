"""The bidirectional pipeline's forwards over ONNX Runtime: two graphs.

`context` projects a prompt and the picture, once a video. `denoise` is one forward over all latents of a video; its
inputs and outputs are in the memory of the device.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from network_runtime import PATCH, Floats
from network_runtime_onnx import raising_out_of_memory, session
from onnxruntime import IOBinding, OrtValue
from position_and_time import rotary, waves
from transformer_settings import Settings


class OnnxDenoiser:
    """One profile's graphs. Thread-safe."""

    def __init__(self, folder: Path, settings: Settings, threads: int, device: str) -> None:
        """Loads the graphs in `folder`; `device` is `cpu`, which uses `threads` cores, or `cuda:<number>`.

        Raises:
            OutOfMemory: the weights have no room.
        """
        self.settings = settings
        kind, _, number = device.partition(":")
        self.where = kind, int(number or 0)
        with raising_out_of_memory():
            self.context = session(folder / "context.onnx", threads, device)
            self.denoise = session(folder / "denoise.onnx", threads, device)

    def video(self, prompts: Sequence[Floats], image_tokens: Floats | None, grid: tuple[int, int, int]) -> "OnnxVideo":
        """Starts a video: projects its prompts and its picture."""
        return OnnxVideo(self, prompts, image_tokens, grid)


class OnnxVideo:
    """The buffers of one video."""

    def __init__(
        self, denoiser: OnnxDenoiser, prompts: Sequence[Floats], image_tokens: Floats | None, grid: tuple[int, int, int]
    ) -> None:
        self._denoiser = denoiser
        settings, (frames, height, width) = denoiser.settings, grid
        cos, sin = rotary(settings.head_width, 0, frames, height // PATCH, width // PATCH)
        given = {
            "latents": np.zeros((1, settings.input_channels, *grid), np.float32),
            "waves": waves(settings.time_width, 0),
            "cos": cos,
            "sin": sin,
        }
        with raising_out_of_memory():
            self._inputs = {name: OrtValue.ortvalue_from_numpy(array, *denoiser.where) for name, array in given.items()}
            shape = (1, settings.channels, *grid)
            self._flow = OrtValue.ortvalue_from_shape_and_type(shape, np.float32, *denoiser.where)
            self._bindings = [self._bound(context) for context in self._contexts(prompts, image_tokens)]

    def forward(self, prompt: int, latents: Floats, timestep: float) -> Floats:
        """One forward over all latent frames and one prompt."""
        with raising_out_of_memory():
            self._inputs["latents"].update_inplace(np.ascontiguousarray(latents))
            self._inputs["waves"].update_inplace(waves(self._denoiser.settings.time_width, timestep))
            self._denoiser.denoise.run_with_iobinding(self._bindings[prompt])
            return np.array(self._flow.numpy())

    def end(self) -> None:
        """Releases the buffers."""
        self._bindings = []
        self._inputs = {}

    def _contexts(self, prompts: Sequence[Floats], image_tokens: Floats | None) -> Iterator[dict[str, OrtValue]]:
        """The keys and values of every cross-attention, for each prompt; those of the picture are shared."""
        graph = self._denoiser.context
        names = [each.name for each in graph.get_outputs()]
        shared: dict[str, OrtValue] = {}
        for prompt in prompts:
            binding = graph.io_binding()
            binding.bind_cpu_input("prompt_embeddings", np.ascontiguousarray(prompt, np.float32))
            if image_tokens is not None:
                binding.bind_cpu_input("image_tokens", np.ascontiguousarray(image_tokens, np.float32))
            for name in names:
                binding.bind_output(name, *self._denoiser.where)
            graph.run_with_iobinding(binding)
            values = dict(zip(names, binding.get_outputs(), strict=True)) | shared
            shared = {name: value for name, value in values.items() if name.startswith("image")}
            yield values

    def _bound(self, context: dict[str, OrtValue]) -> IOBinding:
        binding = self._denoiser.denoise.io_binding()
        for name, value in (self._inputs | context).items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_ortvalue_output("flow", self._flow)
        return binding
