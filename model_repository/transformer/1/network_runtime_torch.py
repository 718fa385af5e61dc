"""The runtime over PyTorch: `wan_network`, and for each video a KV cache and buffers that never move.

New frames are cached after the cached ones; a forgotten frame leaves a hole, into which the last cached frame is moved,
because attention does not depend on the order of keys. So the keys of every forward are a prefix of the cache.

On a GPU (device `cuda:<number>`) the stages of the network go through torch.compile, and the first forward of each
number of frames over each number of cached ones is recorded as a CUDA graph, which later ones replay; either can be
turned off. One forward runs at a time: one video uses the whole GPU, and a recording allows no other work. On a CPU
the same code runs eagerly. Needs torch, safetensors and numpy only.
"""

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
import torch
from key_value_cache import KeyValueCache
from network_runtime import Floats, OutOfMemory
from position_and_time import MAX_FRAMES, waves
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformer_settings import Settings
from wan_network import ForwardIO, Read, Wan, weights_in

ATTENTION = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
"""On a GPU, the first that takes the precision: cuDNN's is made for Hopper, torch's own FlashAttention for Ampere."""

COMPILED_SIZES = 64
"""Limit of the sizes of blocks and pictures, for each of which torch.compile generates code; one more fails."""

Replay = Callable[[], None]


class TorchRuntime:
    """One profile's weights on a device. Thread-safe."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        device: str,
        *,
        compile: bool | None = None,
        graphs: bool | None = None,
        read: Read | None = None,
    ) -> None:
        """Loads `weights.safetensors` in `folder`, unless `read` has other weights.

        `device` is `cpu` or `cuda:<number>`; `compile` and `graphs` are meant for the latter, and on there by default.

        Raises:
            OutOfMemory: the weights have no room.
            ValueError: they are those of another profile.
        """
        self.settings = settings
        self.device = torch.device(device)
        self.on_gpu = self.device.type == "cuda"
        self.attention = ATTENTION
        self._compiled = self.on_gpu if compile is None else compile
        self._lock = threading.Lock()
        with self.exclusive():
            self.record: Callable[[Replay], Replay] | None = None
            if self.on_gpu if graphs is None else graphs:
                self.record = partial(recorded, torch.cuda.graph_pool_handle())
            stage = partial(torch.compile, fullgraph=True, dynamic=False) if self._compiled else lambda each: each
            self.network = Wan(settings, read or weights_in(folder / "weights.safetensors", device), stage)

    def slot(self) -> "TorchSlot":
        """A new slot; its buffers are allocated for its first video."""
        return TorchSlot(self)

    @contextmanager
    def exclusive(self, release: Callable[[], None] = lambda: None) -> Iterator[None]:
        """The body runs while no other slot uses the device; `release` is called if memory is exhausted.

        Raises:
            OutOfMemory: in place of torch's errors for exhausted memory; the memory of the body is freed by then.
        """
        with self._lock, torch.inference_mode(), raising_out_of_memory(release), ExitStack() as stack:
            if self.on_gpu:
                stack.enter_context(torch.cuda.device(self.device))
                stack.enter_context(sdpa_kernel(self.attention, set_priority=True))
            if self._compiled:  # torch keeps this for each thread apart
                stack.enter_context(torch._dynamo.config.patch(recompile_limit=COMPILED_SIZES))
            yield


class Buffers:
    """The inputs and the output of a forward over so many frames, at addresses that never change."""

    def __init__(self, runtime: TorchRuntime, frames: int, size: tuple[int, int]) -> None:
        settings = runtime.settings
        shape, flow = ((1, channels, frames, *size) for channels in (settings.input_channels, settings.channels))
        parts = [prod(shape), settings.time_width, frames]
        self._host = torch.empty(sum(parts), pin_memory=runtime.on_gpu)
        self._inputs = self._host.to(runtime.device)  # on a CPU the same memory
        latents, times, numbers = self._inputs.split(parts)
        self.io = ForwardIO(latents.view(shape), times.view(1, -1), numbers, torch.empty(flow, device=runtime.device))

    def put(self, latents: Floats, times: Floats, start: int) -> None:
        """Sets the inputs, in one copy; the forward over the previous inputs must have ended."""
        numbers = np.arange(start, start + latents.shape[2], dtype=np.float32)
        np.concatenate((latents.ravel(), times.ravel(), numbers), out=self._host.numpy())
        self._inputs.copy_(self._host, non_blocking=True)

    def take(self) -> Floats:
        """Waits for the flow, and copies it."""
        flow: Floats = self.io.flow.to("cpu", copy=True).numpy()
        return flow


class TorchSlot:
    """The KV cache and the buffers of one video."""

    def __init__(self, runtime: TorchRuntime) -> None:
        self._runtime = runtime
        self._release()

    @property
    def bytes(self) -> int:
        """Bytes of the KV cache."""
        return 0 if self._cache is None else self._cache.bytes

    def begin(self, prompt_embeddings: Floats, image_tokens: Floats | None, latent_size: tuple[int, int]) -> None:
        """Starts a video: empties the cache, and projects the prompt and the picture."""
        runtime = self._runtime
        with runtime.exclusive(self._release):
            self._places = []
            if latent_size != self._size or self._cache is None:
                self._release()
                self._cache = KeyValueCache.allocate(runtime.settings, latent_size, runtime.device)
                self._size = latent_size
            prompt, picture = (
                None if each is None else torch.tensor(each, dtype=torch.float32, device=runtime.device)
                for each in (prompt_embeddings, image_tokens)
            )
            runtime.network.project(self._cache, prompt, picture)

    def forward(self, latents: Floats, timestep: float, start: int, past: int, *, keep: bool) -> Floats:
        """One forward over the latent frames after the first `past` cached ones.

        Raises:
            ValueError: fewer frames are cached, or there is no room for the new ones in the cache or rotary table.
        """
        settings, frames = self._runtime.settings, latents.shape[2]
        if past > len(self._places) or past + frames > settings.cache_latents or start + frames > MAX_FRAMES:
            raise ValueError(
                f"{frames} latent frames from {start} after {past} of {len(self._places)}: "
                f"the cache has room for {settings.cache_latents}, the rotary table for {MAX_FRAMES}"
            )
        with self._runtime.exclusive(self._release):
            self._compact(past)
            if frames not in self._buffers:
                self._buffers[frames] = Buffers(self._runtime, frames, self._size)
            buffers = self._buffers[frames]
            buffers.put(latents, waves(settings.time_width, timestep), start)
            self._run(buffers.io, frames, past)
            flow = buffers.take()
        if keep:
            self._places += range(past, past + frames)
        return flow

    def forget(self, first: int, count: int) -> None:
        """Removes cached frames."""
        del self._places[first : first + count]

    def end(self) -> None:
        """Ends the video; releases the buffers unless the settings keep them."""
        self._places = []
        if not self._runtime.settings.keep_cache:
            with self._runtime.exclusive():
                self._release()
                if self._runtime.on_gpu:
                    torch.cuda.empty_cache()

    def warm_up(self, latent_size: tuple[int, int]) -> None:
        """Compiles and records every forward that a video of this size can take, so that none has to wait for it.

        Raises:
            OutOfMemory: no room for such a video.
        """
        settings = self._runtime.settings
        picture = np.zeros(settings.image_shape, np.float32) if settings.image_tokens else None
        self.begin(np.zeros(settings.prompt_shape, np.float32), picture, latent_size)
        for frames, past in positions(settings):
            latents = np.zeros((1, settings.channels, frames, *latent_size), np.float32)
            self._places = list(range(past))
            self.forward(latents, 0.0, past, past, keep=False)
        self.end()

    def _compact(self, past: int) -> None:
        """Drops the frames cached after the first `past`, and moves these to the first `past` places."""
        del self._places[past:]
        holes = [place for place in range(past) if place not in self._places]
        for index, place in enumerate(self._places):
            if place >= past:
                self._places[index] = holes.pop()
                self._cache.move(place, self._places[index])

    def _run(self, io: ForwardIO, frames: int, past: int) -> None:
        """Computes at the first call for these numbers, and replays from then on where forwards are recorded."""
        replay = self._replays.get((frames, past))
        if replay is not None:
            replay()
            return
        compute = partial(self._runtime.network, io, self._cache, past)
        compute()
        if self._runtime.record is not None:
            # At once: libraries keep their set-up for a shape in the thread that ran it.
            self._replays[frames, past] = self._runtime.record(compute)

    def _release(self) -> None:
        """Releases all buffers."""
        # Recordings first: they hold addresses of the buffers.
        self._replays: dict[tuple[int, int], Replay] = {}  # by frames and past
        self._buffers: dict[int, Buffers] = {}  # by frames
        self._cache: KeyValueCache | None = None
        self._size = (0, 0)
        self._places: list[int] = []  # of each cached frame, in order of time: its place in the cache


def positions(settings: Settings) -> list[tuple[int, int]]:
    """The forwards that a causal video can need: (frames, cached frames)."""
    block, room = settings.block_latents, settings.cache_latents
    alone = [(1, 0), *((block, start) for start in range(1, settings.max_latents, block))]
    alike = [(block, start) for start in range(0, settings.max_latents, block)]
    starts = alone if settings.independent_first_frame else alone + alike
    return sorted({(frames, min(start, room - frames)) for frames, start in starts if frames <= room})


def recorded(pool: tuple[int, int], compute: Replay) -> Replay:
    """Makes a CUDA graph of what `compute` does, which has run before and does not run now.

    Its temporary memory is in `pool`, which all recordings share, because only one runs at a time.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        compute()
    return graph.replay


SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")
"""Parts of the messages of torch, its CPU allocator and cuBLAS for exhausted memory."""


@contextmanager
def raising_out_of_memory(release: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Converts errors for exhausted memory, after freeing temporary memory and calling `release`.

    Raises:
        OutOfMemory: in place of torch's errors for exhausted memory.
    """
    try:
        yield
    except OutOfMemory:
        raise
    except (MemoryError, RuntimeError) as error:
        cause: BaseException | None = error  # that of an interrupted recording has the cause in its context
        while cause is not None and not is_of_memory(cause):
            cause = cause.__context__
        if cause is None:
            raise
        traceback.clear_frames(error.__traceback__)  # their variables hold tensors
        release()
        torch.cuda.empty_cache()
        raise OutOfMemory(str(cause).partition("\n")[0] or "no room") from None


def is_of_memory(error: BaseException) -> bool:
    """Whether an error is one of memory, by its class or message."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in SIGNS)
