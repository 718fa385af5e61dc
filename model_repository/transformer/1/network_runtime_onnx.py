"""The runtime over ONNX Runtime: two graphs, and KV caches in memory that never moves.

`context` projects a prompt and a picture once a video. `block` is one forward: for each layer it takes a cache of keys
and one of values, (tokens, heads * width), and returns them with those of the new frames. Inputs and outputs are bound
to the same memory, so nothing is copied or joined, whatever the length; and because the frames of a cache are
contiguous, a shorter cache is a prefix of the same buffer.

Attention does not depend on the order of keys. The place of a forgotten frame is therefore used by the next frames, and
no frame has to move.

On a GPU (device `cuda:<number>`) the buffers are in its memory, and because no address ever changes, the second forward
of each shape is recorded as a CUDA graph that later ones replay.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from network_runtime import PATCH, Floats, OutOfMemory
from onnxruntime import IOBinding, OrtValue
from position_and_time import rotary, waves
from transformer_settings import Settings

ELEMENTS = {"fp32": (1, 4), "fp16": (10, 2), "bf16": (16, 2)}
"""ONNX's number of each precision, and its bytes; numpy has no bf16, so a cache is raw memory here."""

MAX_CUDA_GRAPHS = 256
"""Each keeps some memory; further shapes run without."""


class OnnxRuntime:
    """One profile's graphs. Thread-safe."""

    def __init__(self, folder: Path, settings: Settings, threads: int, device: str) -> None:
        """Loads the graphs in `folder`; `device` is `cpu`, which uses `threads` cores, or `cuda:<number>`.

        Raises:
            OutOfMemory: the weights have no room.
        """
        self.settings = settings
        self.kind, _, number = device.partition(":")
        self.number = int(number or 0)
        self._turn = threading.Lock()
        self._graphs = count()
        with raising_out_of_memory():
            self.context = session(folder / "context.onnx", threads, device)
            self.block = session(folder / "block.onnx", threads, device, cuda_graphs=True)

    def slot(self) -> "OnnxSlot":
        """A new slot; its caches are allocated for its first video."""
        return OnnxSlot(self)

    def buffer(self, size: int) -> OrtValue:
        """Memory of so many bytes, uninitialised.

        Raises:
            OutOfMemory: there is no room.
        """
        with raising_out_of_memory(f"no room for {size / 1e9:.3g} GB on the {self.kind}"):
            return OrtValue.ortvalue_from_shape_and_type((size,), np.uint8, self.kind, self.number)

    def run(self, binding: IOBinding, options: onnxruntime.RunOptions) -> None:
        """One forward of `block`.

        Raises:
            OutOfMemory: there is no room for what is computed on the way.
        """
        with raising_out_of_memory():
            if self.kind == "cpu":
                self.block.run_with_iobinding(binding, options)
                return
            with self._turn:  # a session records and replays CUDA graphs for one thread at a time
                self.block.run_with_iobinding(binding, options)

    def options(self) -> onnxruntime.RunOptions:
        """For every forward of one shape in one slot."""
        options = onnxruntime.RunOptions()
        if self.kind == "cuda":
            number = next(self._graphs)
            options.add_run_config_entry("gpu_graph_id", str(number if number < MAX_CUDA_GRAPHS else -1))
        return options


@dataclass(frozen=True)
class ForwardIO:
    """The inputs and the output of a forward, without keys and values."""

    inputs: dict[str, OrtValue]
    flow: OrtValue


class OnnxSlot:
    """The KV caches and buffers of one video. The next forward must replace forgotten frames, as a window does."""

    def __init__(self, runtime: OnnxRuntime) -> None:
        settings = runtime.settings
        self._runtime = runtime
        self._element, self._itemsize = ELEMENTS[settings.precision]
        self._row = settings.heads * settings.head_width * self._itemsize
        names = [each.name for each in runtime.context.get_outputs()]
        tokens = {"text": settings.text_length, "image": settings.image_tokens}
        self._cross = {
            name: (tokens[name.split("_")[0]], runtime.buffer(tokens[name.split("_")[0]] * self._row)) for name in names
        }
        self._caches: dict[str, OrtValue] = {}
        self._io: dict[int, ForwardIO] = {}  # by frames
        self._bindings: dict[tuple[int, int], tuple[IOBinding, onnxruntime.RunOptions]] = {}  # by frames and past
        self._size = (0, 0)
        self._places: list[int] = []  # of each cached frame, in order of time: its place in the cache

    @property
    def bytes(self) -> int:
        """Bytes of all caches."""
        return sum(
            prod(each.shape()) for each in (*self._caches.values(), *(value for _, value in self._cross.values()))
        )

    @property
    def _per_frame(self) -> int:
        """Tokens of a frame."""
        return prod(self._size) // PATCH**2

    def begin(self, prompt_embeddings: Floats, image_tokens: Floats | None, latent_size: tuple[int, int]) -> None:
        """Starts a video: empties the cache, and projects the prompt and the picture."""
        if latent_size != self._size:
            self._allocate(latent_size)
        self._places = []
        self._project(prompt_embeddings, image_tokens)

    def forward(self, latents: Floats, timestep: float, start: int, past: int, *, keep: bool) -> Floats:
        """One forward over the latent frames after the first `past` cached ones."""
        settings, frames = self._runtime.settings, latents.shape[2]
        del self._places[past:]
        free = [place for place in range(past + frames) if place not in self._places]
        if len(free) != frames or past + frames > settings.cache_latents:
            raise ValueError(f"{frames} latent frames do not fit in after {past}")
        height, width = self._size
        per_frame = self._per_frame
        cos, sin = rotary(settings.head_width, start, frames, height // PATCH, width // PATCH)
        with raising_out_of_memory():
            io = self._io.get(frames) or self._make_io(frames)
            binding, options = self._bindings.get((frames, past)) or self._bind(frames, past)
            io.inputs["latents"].update_inplace(np.ascontiguousarray(latents, np.float32))
            io.inputs["waves"].update_inplace(waves(settings.time_width, timestep))
            io.inputs["cos"].update_inplace(cos)
            io.inputs["sin"].update_inplace(sin)
            io.inputs["places"].update_inplace((np.array(free)[:, None] * per_frame + np.arange(per_frame)).ravel())
            self._runtime.run(binding, options)
            flow: Floats = np.array(io.flow.numpy())
        if keep:
            self._places += free
        return flow

    def forget(self, first: int, count: int) -> None:
        """Removes cached frames."""
        del self._places[first : first + count]

    def end(self) -> None:
        """Ends the video; releases the buffers unless the settings keep them."""
        self._places = []
        if not self._runtime.settings.keep_cache:
            self._release()

    def warm_up(self, latent_size: tuple[int, int]) -> None:
        """Takes one forward of this size."""
        settings = self._runtime.settings
        self.begin(np.zeros(settings.prompt_shape, np.float32), None, latent_size)
        self.forward(
            np.zeros((1, settings.channels, settings.block_latents, *latent_size), np.float32), 0.0, 0, 0, keep=True
        )
        self.end()

    def _release(self) -> None:
        self._bindings, self._io, self._caches, self._size = {}, {}, {}, (0, 0)

    def _allocate(self, size: tuple[int, int]) -> None:
        """Replaces the caches by those of another size."""
        self._release()
        settings = self._runtime.settings
        tokens = settings.cache_latents * prod(size) // PATCH**2
        names = [f"{kind}_{layer}" for layer in range(settings.layers) for kind in ("key", "value")]
        self._caches = {name: self._runtime.buffer(tokens * self._row) for name in names}
        self._size = size

    def _project(self, prompt_embeddings: Floats, image_tokens: Floats | None) -> None:
        """Sets the keys and values of cross-attention."""
        settings = self._runtime.settings
        binding = self._runtime.context.io_binding()
        binding.bind_cpu_input("prompt_embeddings", np.ascontiguousarray(prompt_embeddings, np.float32))
        if settings.image_tokens:
            image = np.zeros(settings.image_shape, np.float32) if image_tokens is None else image_tokens
            binding.bind_cpu_input("image_tokens", np.ascontiguousarray(image, np.float32))
        for name, (tokens, value) in self._cross.items():
            binding.bind_output(name, *self._where, self._element, self._shape(tokens, batch=True), value.data_ptr())
        with raising_out_of_memory():
            self._runtime.context.run_with_iobinding(binding)
            if image_tokens is None:
                # Attention over zero values adds nothing, whatever its keys.
                for name, (tokens, value) in self._cross.items():
                    if name.startswith("image"):
                        value.update_inplace(np.zeros(tokens * self._row, np.uint8))

    def _make_io(self, frames: int) -> ForwardIO:
        settings = self._runtime.settings
        tokens = frames * self._per_frame
        latents = (1, settings.channels, frames, *self._size)
        angles = (tokens, settings.head_width // 2)
        made = {
            name: OrtValue.ortvalue_from_shape_and_type(shape, kind, *self._where)
            for name, shape, kind in (
                ("latents", latents, np.float32),
                ("waves", (1, settings.time_width), np.float32),
                ("cos", angles, np.float32),
                ("sin", angles, np.float32),
                ("places", (tokens,), np.int64),
                ("flow", latents, np.float32),
            )
        }
        self._io[frames] = ForwardIO(flow=made.pop("flow"), inputs=made)
        return self._io[frames]

    def _bind(self, frames: int, past: int) -> tuple[IOBinding, onnxruntime.RunOptions]:
        """Binds a forward of `frames` after `past`: its inputs and output, and a prefix of the caches, in and out."""
        binding = self._runtime.block.io_binding()
        for name, value in self._io[frames].inputs.items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_ortvalue_output("flow", self._io[frames].flow)
        for name, (tokens, value) in self._cross.items():
            binding.bind_input(name, *self._where, self._element, self._shape(tokens, batch=True), value.data_ptr())
        reach = self._shape((past + frames) * self._per_frame)
        for name, value in self._caches.items():
            binding.bind_input(name, *self._where, self._element, reach, value.data_ptr())
            binding.bind_output(f"{name}_after", *self._where, self._element, reach, value.data_ptr())
        self._bindings[frames, past] = binding, self._runtime.options()
        return self._bindings[frames, past]

    @property
    def _where(self) -> tuple[str, int]:
        return self._runtime.kind, self._runtime.number

    def _shape(self, tokens: int, *, batch: bool = False) -> tuple[int, ...]:
        inner = self._row // self._itemsize
        return (1, tokens, inner) if batch else (tokens, inner)


@contextmanager
def raising_out_of_memory(what: str = "") -> Iterator[None]:
    """Converts errors for exhausted memory.

    Raises:
        OutOfMemory: in place of ONNX Runtime's errors for exhausted memory, with the message `what` or theirs.
    """
    try:
        yield
    except OutOfMemory:
        raise
    except Exception as error:
        message = str(error)
        signs = ("out of memory", "failed to allocate memory", "bad allocation", "bad_alloc")
        if isinstance(error, MemoryError) or any(sign in message.lower() for sign in signs):
            raise OutOfMemory(what or message or "no room") from error
        raise


def session(file: Path, threads: int, device: str = "cpu", *, cuda_graphs: bool = False) -> Any:
    """An ONNX Runtime session; on a CPU it leaves the cores to others while it waits.

    Raises:
        RuntimeError: the device is a GPU and this ONNX Runtime has none.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise RuntimeError(
            "this ONNX Runtime cannot use a GPU: install onnxruntime-gpu, or set engine.runtime to torch"
        )
    provider = {"device_id": number or "0", "enable_cuda_graph": str(int(cuda_graphs))}
    return onnxruntime.InferenceSession(str(file), options, providers=[("CUDAExecutionProvider", provider)])
