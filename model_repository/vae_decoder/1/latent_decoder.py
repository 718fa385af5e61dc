"""Latents to frames, with the decoder's feature cache kept between the blocks of a clip.

The first latent frame of a clip makes 1 frame, each later one 4; decoding block by block gives what decoding the whole
clip at once would give. Two ONNX graphs do the work: frames come out of them as bytes, and the cache stays where they
run, untouched by numpy. Independent of Triton and of the decoder.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.uint8]

PIXELS = 8
"""Pixels a side of one latent pixel."""

FRAMES = 4
"""Frames of each latent frame but the first."""

NO_MEMORY = ("failed to allocate memory", "out of memory", "bad_alloc", "bad allocation")
"""Parts of the messages of ONNX Runtime, CUDA and C++ for exhausted memory, in lower case."""


class BadRequest(ValueError):
    """The request can never be served; the message describes the error."""


class UnknownClip(BadRequest):
    """The clip was never begun, has ended, or was given up after idling."""


class TooManyClips(RuntimeError):
    """Every place is taken by a clip that is not idle; try again later."""


class OutOfMemory(RuntimeError):
    """There is no memory for this clip, which is then over. Its text begins with `OUT_OF_MEMORY: `."""


@dataclass(frozen=True)
class Device:
    """Where graphs run and caches lie."""

    kind: str = "cpu"
    """`cpu` or `cuda`."""
    index: int = 0

    @property
    def providers(self) -> list[Any]:
        """ONNX Runtime's name of it. What a GPU cannot do, a graph's CPU part does."""
        if self.kind == "cpu":
            return ["CPUExecutionProvider"]
        # Caches are large and all of one size: memory that doubles whenever it grows would be half empty.
        settings = {"device_id": self.index, "arena_extend_strategy": "kSameAsRequested"}
        return [("CUDAExecutionProvider", settings), "CPUExecutionProvider"]


@dataclass
class Clip:
    """A clip in progress: its feature cache on the device; None before its first latent frame."""

    cache: Sequence[onnxruntime.OrtValue] | None = None
    size: tuple[int, int] | None = None
    used: float = field(default=0.0, repr=False)

    @property
    def bytes(self) -> int:
        """Bytes of the cache."""
        return sum(each.tensor_size_in_bytes() for each in self.cache or ())


class Decoder:
    """A decoder of latents. Holds nothing of any clip."""

    def __init__(self, folder: Path, threads: int, device: Device | None = None) -> None:
        self._device = device or Device()
        self._first = session(folder / "first.onnx", threads, self._device)
        self._next = session(folder / "next.onnx", threads, self._device)
        self.channels: int = self._first.get_inputs()[0].shape[1]

    def check(self, clip: Clip, latents: Floats) -> None:
        """Raises BadRequest for latents that do not continue the clip; costs nothing."""
        if latents.ndim != 5 or latents.shape[:2] != (1, self.channels) or 0 in latents.shape[3:]:
            raise BadRequest(f"latents must have the shape (1, {self.channels}, f, h, w), not {latents.shape}")
        if clip.size is not None and clip.size != latents.shape[3:]:
            raise BadRequest(f"latents must keep the size that the clip began with, {clip.size}")
        if not np.isfinite(latents).all():
            raise BadRequest("latents must be finite")

    def decode(self, clip: Clip, latents: Floats) -> Frames:
        """Decodes latents FP32 (1, C, f, h, w), normalised, to frames (F, 8h, 8w, 3), RGB, and moves the clip on.

        Raises:
            BadRequest: before any work; the clip is as it was.
            OutOfMemory: the clip cannot go on.
        """
        self.check(clip, latents)
        count, height, width = latents.shape[2:]
        clip.size = height, width
        with raising_out_of_memory(f"decoding latents of {height} x {width}"):
            made = max(0, FRAMES * count - (FRAMES - 1 if clip.cache is None else 0))
            frames = np.empty((made, PIXELS * height, PIXELS * width, 3), np.uint8)
            done = 0
            for index in range(count):
                latent = np.ascontiguousarray(latents[:, :, index : index + 1])
                following = done + (1 if clip.cache is None else FRAMES)
                clip.cache = self._run(latent, clip.cache, frames[done:following])
                done = following
        return frames

    def _run(
        self, latent: Floats, cache: Sequence[onnxruntime.OrtValue] | None, frames: Frames
    ) -> Sequence[onnxruntime.OrtValue]:
        """One graph on one latent frame. It writes straight into `frames`; the renewed cache stays where it is made."""
        graph = self._first if cache is None else self._next
        binding = graph.io_binding()
        binding.bind_cpu_input("latent", latent)
        for place, seen in zip(graph.get_inputs()[1:], cache or (), strict=True):
            binding.bind_ortvalue_input(place.name, seen)
        binding.bind_output("frames", "cpu", 0, np.uint8, frames.shape, frames.ctypes.data)
        for place in graph.get_outputs()[1:]:
            binding.bind_output(place.name, self._device.kind, self._device.index)
        graph.run_with_iobinding(binding)
        renewed: Sequence[onnxruntime.OrtValue] = binding.get_outputs()[1:]
        return renewed

    def warm_up(self) -> None:
        """Runs both graphs once on a small picture, so that the first clip does not pay for it."""
        self.decode(Clip(), np.zeros((1, self.channels, 2, 2, 2), np.float32))


class Clips:
    """The clips being decoded, by the id of their sequence: at most `limit`, each given up after `idle_s` of idling.

    `watch` is called with their number and the bytes of their caches, whenever these may have changed.
    """

    def __init__(
        self,
        limit: int,
        idle_s: float,
        clock: Callable[[], float] = time.monotonic,
        watch: Callable[[int, int], None] = lambda count, size: None,
    ) -> None:
        self._clips: dict[int, Clip] = {}
        self._limit = limit
        self._idle_s = idle_s
        self._clock = clock
        self._watch = watch
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._clips)

    @contextmanager
    def of(self, key: int, *, start: bool, end: bool) -> Iterator[Clip]:
        """The clip to decode into. Forgotten afterwards if the sequence ends, or if anything is raised.

        Raises:
            UnknownClip: `start` is false, and there is no such clip.
            TooManyClips: `start` is true, and there is no room.
        """
        self.sweep()
        with self._lock:
            clip = Clip() if start else self._clips.pop(key, None)
            if start:
                self._clips.pop(key, None)
            if clip is None:
                raise UnknownClip(
                    f"sequence {key} is unknown: it was never started, has ended, failed, or idled too long"
                )
            if len(self._clips) >= self._limit:
                raise TooManyClips(f"{self._limit} clips are being decoded; no room for another")
        try:
            yield clip
        except BaseException:
            self._report()
            raise
        with self._lock:
            if not end:
                clip.used = self._clock()
                self._clips[key] = clip
        self._report()

    def sweep(self) -> None:
        """Forgets every clip that has idled too long."""
        now = self._clock()
        with self._lock:
            idle = [key for key, clip in self._clips.items() if now - clip.used > self._idle_s]
            for key in idle:
                del self._clips[key]
        if idle:
            self._report()

    def _report(self) -> None:
        with self._lock:
            count, size = len(self._clips), sum(clip.bytes for clip in self._clips.values())
        self._watch(count, size)


@contextmanager
def raising_out_of_memory(doing: str) -> Iterator[None]:
    """Converts every error for exhausted memory to OutOfMemory."""
    try:
        yield
    except Exception as failure:  # ONNX Runtime's errors have no common class, and no code for memory
        if not isinstance(failure, MemoryError) and not any(text in str(failure).lower() for text in NO_MEMORY):
            raise
        raise OutOfMemory(f"OUT_OF_MEMORY: no room for {doing}: {failure}") from failure


def session(file: Path, threads: int, device: Device) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session that leaves the cores to others while it waits.

    Raises:
        RuntimeError: this ONNX Runtime cannot use the device; it would go on without, slowly and with a mere warning.
    """
    wanted = "CUDAExecutionProvider"
    if device.kind == "cuda" and wanted not in onnxruntime.get_available_providers():
        raise RuntimeError(f"this ONNX Runtime has no {wanted}: install onnxruntime-gpu, or serve from the CPU")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(file), options, providers=device.providers)
