"""Latents to frames, with the VAE's feature cache kept between the blocks of a clip.

The first latent frame of a clip makes 1 frame, each later one 4; decoding block by block gives what decoding the whole
clip at once would give. Plain numpy over two ONNX graphs; knows nothing of Triton.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

Floats = npt.NDArray[np.float32]
Frames = npt.NDArray[np.uint8]


class BadRequest(ValueError):
    """The request can never be served; the message says what is wrong with it."""


class UnknownClip(BadRequest):
    """The clip was never begun, has ended, or was given up after idling."""


class TooManyClips(RuntimeError):
    """Every place is taken by a clip that is not idle; try again later."""


@dataclass
class Clip:
    """A clip on its way: what the decoder's convolutions remember of it, None before its first latent."""

    cache: dict[str, Floats] | None = None
    size: tuple[int, int] | None = None
    used: float = field(default=0.0, repr=False)


class Decoder:
    """The VAE's decoder. Holds nothing of any clip."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._first = session(folder / "first.onnx", threads)
        self._next = session(folder / "next.onnx", threads)
        self.channels: int = self._first.get_inputs()[0].shape[1]
        self._caches = [each.name for each in self._next.get_inputs()[1:]]

    def check(self, clip: Clip, latents: Floats) -> None:
        """Raises BadRequest for latents that do not continue the clip; costs nothing."""
        if latents.ndim != 5 or latents.shape[:2] != (1, self.channels) or 0 in latents.shape[3:]:
            raise BadRequest(f"latents must have the shape (1, {self.channels}, f, h, w), not {latents.shape}")
        if clip.size is not None and clip.size != latents.shape[3:]:
            raise BadRequest(f"latents must keep the size that the clip began with, {clip.size}")
        if not np.isfinite(latents).all():
            raise BadRequest("latents must be finite")

    def decode(self, clip: Clip, latents: Floats) -> Frames:
        """Decodes latents (1, C, f, h, w), normalised, to frames (F, 8h, 8w, 3), RGB, and moves the clip on.

        Raises:
            BadRequest: before any work; the clip is as it was.
        """
        self.check(clip, latents)
        clip.size = latents.shape[3], latents.shape[4]
        frames = []
        for index in range(latents.shape[2]):
            latent = np.ascontiguousarray(latents[:, :, index : index + 1])
            graph, inputs = (self._first, {}) if clip.cache is None else (self._next, clip.cache)
            made, *cache = graph.run(None, {"latent": latent, **inputs})
            clip.cache = dict(zip(self._caches, cache, strict=True))
            frames.append(as_bytes(made))
        return np.concatenate(frames) if frames else np.empty((0, 8 * clip.size[0], 8 * clip.size[1], 3), np.uint8)

    def warm_up(self) -> None:
        """Runs both graphs once on a small picture, so that the first clip does not pay for it."""
        self.decode(Clip(), np.zeros((1, self.channels, 2, 2, 2), np.float32))


class Clips:
    """The clips being decoded, by the id of their sequence: at most `limit`, each given up after `idle_s` of idling."""

    def __init__(
        self,
        limit: int,
        idle_s: float,
        clock: Callable[[], float] = time.monotonic,
        watch: Callable[[int], None] = lambda count: None,
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
            self._watch(len(self))
            raise
        with self._lock:
            if not end:
                clip.used = self._clock()
                self._clips[key] = clip
        self._watch(len(self))

    def sweep(self) -> None:
        """Forgets every clip that has idled too long."""
        now = self._clock()
        with self._lock:
            idle = [key for key, clip in self._clips.items() if now - clip.used > self._idle_s]
            for key in idle:
                del self._clips[key]
        if idle:
            self._watch(len(self))


def as_bytes(frames: Floats) -> Frames:
    """(1, 3, F, H, W) in [-1, 1] -> (F, H, W, 3) in 0..255."""
    scaled = np.rint(frames[0] * np.float32(127.5) + np.float32(127.5)).astype(np.uint8)
    return np.ascontiguousarray(scaled.transpose(1, 2, 3, 0))


def session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session that leaves the cores to others while it waits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
