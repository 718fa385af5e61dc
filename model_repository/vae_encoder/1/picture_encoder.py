"""A picture to the latents of the clip that a video is conditioned on: the picture first, then mid-grey frames.

The first latent frame stands for the picture alone, each later one for four frames; encoding them one after another,
with the encoder's feature cache in between, gives what encoding the whole clip at once would give. The cache stays
where the graphs run. A profile that needs the picture's own latent alone has no graph for the others. Knows nothing of
Triton.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Floats = npt.NDArray[np.float32]

PIXELS = 8
"""Pixels a side of one latent pixel."""

FRAMES = 4
"""Frames of each latent frame but the first."""

MULTIPLE = 16
"""What the sides of a picture must be multiples of: the transformer takes two latent pixels together."""

MAX_LATENTS = 1024
"""Latent frames for which the transformers have places."""


class BadRequest(ValueError):
    """The request can never be served; the message describes the error."""


class Encoder:
    """The VAE's encoder. Holds nothing of any clip."""

    def __init__(self, folder: Path, threads: int, device: str = "cpu") -> None:
        """Loads the graphs in `folder`; `device` is `cpu`, which uses `threads` cores, or `cuda:<number>`."""
        kind, _, number = device.partition(":")
        self._where = kind, int(number or 0)
        self._first = session(folder / "first.onnx", threads, *self._where)
        later = folder / "next.onnx"
        self._next = session(later, threads, *self._where) if later.is_file() else None

    def check(self, pixels: Floats, latent_frames: int) -> None:
        """Raises BadRequest for what cannot be encoded; costs nothing."""
        if pixels.ndim != 4 or pixels.shape[:2] != (1, 3) or 0 in pixels.shape:
            raise BadRequest(f"pixels must have the shape (1, 3, H, W), not {pixels.shape}")
        height, width = pixels.shape[2:]
        if height % MULTIPLE or width % MULTIPLE:
            raise BadRequest(f"the sides of pixels must be multiples of {MULTIPLE}, not {height} x {width}")
        if not np.isfinite(pixels).all():
            raise BadRequest("pixels must be finite")
        if not 1 <= latent_frames <= MAX_LATENTS:
            raise BadRequest(f"latent_frames must be from 1 to {MAX_LATENTS}, not {latent_frames}")
        if latent_frames > 1 and self._next is None:
            raise BadRequest(
                f"latent_frames must be 1, not {latent_frames}: this profile's transformer takes the latent of the "
                "picture alone, so there is no graph (next.onnx) for what follows it"
            )

    def encode(self, pixels: Floats, latent_frames: int = 1) -> Floats:
        """A picture FP32 (1, 3, H, W) in [-1, 1] to normalised latents FP32 (1, C, latent_frames, H/8, W/8).

        Raises:
            BadRequest: before any work.
        """
        self.check(pixels, latent_frames)
        latent, cache = self._run(self._first, onnxruntime.OrtValue.ortvalue_from_numpy(pixels, *self._where), ())
        latents = [latent]
        if latent_frames > 1:
            grey = np.zeros((FRAMES, *pixels.shape[1:]), np.float32)
            frames = onnxruntime.OrtValue.ortvalue_from_numpy(grey, *self._where)
        for _ in range(1, latent_frames):
            latent, cache = self._run(self._next, frames, cache)
            latents.append(latent)
        return np.concatenate(latents, axis=2)

    def _run(
        self, graph: Any, pixels: onnxruntime.OrtValue, cache: Sequence[onnxruntime.OrtValue]
    ) -> tuple[Floats, Sequence[onnxruntime.OrtValue]]:
        """One graph on a latent frame's pixels: its latent, and the renewed cache, which stays where it is made."""
        binding = graph.io_binding()
        for place, value in zip(graph.get_inputs(), (pixels, *cache), strict=True):
            binding.bind_ortvalue_input(place.name, value)
        latent, *renewed = (place.name for place in graph.get_outputs())
        binding.bind_output(latent, "cpu")
        for name in renewed:
            binding.bind_output(name, *self._where)
        graph.run_with_iobinding(binding)
        made, *renewed = binding.get_outputs()
        return made.numpy(), renewed

    def warm_up(self) -> None:
        """Runs all graphs once on a small picture, so that the first request does not pay for it."""
        self.encode(np.zeros((1, 3, MULTIPLE, MULTIPLE), np.float32), 1 if self._next is None else 2)


def session(file: Path, threads: int, kind: str, number: int) -> Any:
    """An ONNX Runtime session that leaves the cores to others while it waits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = ["CPUExecutionProvider"]
    if kind == "cuda":  # what a GPU cannot do, a graph's CPU part does
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": number}))
    return onnxruntime.InferenceSession(str(file), options, providers=providers)
