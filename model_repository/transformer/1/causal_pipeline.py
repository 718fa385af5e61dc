"""The causal pipeline: a video's latents, block by block, over a KV cache of everything before.

The picture's latent, when there is one, is latent frame 0: one forward at t = 0 puts it into the cache. Each block then
starts as noise and takes one forward per timestep, with fresh noise between; a last forward at t = 0, the clean pass,
puts what came out into the cache for the blocks that follow. Where the cache holds only a window, the oldest frames
after the sink make room for each block. Plain numpy over a `Runtime`; independent of Triton.

The computation is that of Self-Forcing (https://github.com/guandeh17/Self-Forcing) and, with other steps for the first
block, of Causal-Forcing (https://github.com/thu-ml/Causal-Forcing).
"""

from collections.abc import Callable, Generator

import numpy as np
import numpy.typing as npt
from generation_request import (
    BadRequest,
    Block,
    Floats,
    Request,
    check_arrays,
    check_size_and_seed,
    history_frames,
    noise,
)
from network_runtime import Runtime
from position_and_time import MAX_FRAMES


class Rollout:
    """Makes one video at a time with one profile's transformer. Not thread-safe: it has one slot of the runtime."""

    def __init__(self, runtime: Runtime) -> None:
        """Takes a slot.

        Raises:
            OutOfMemory: there is no memory for one.
            ValueError: the profile's window is smaller than the sink and a block.
        """
        self.settings = runtime.settings
        window, least = self.settings.window_latents, self.settings.sink_latents + self.settings.block_latents
        if window and window < least:
            raise ValueError(f"window_latents must be at least sink_latents + block_latents, {least}, not {window}")
        self.max_latents = min(self.settings.max_latents, MAX_FRAMES)
        self._slot = runtime.slot()

    @property
    def cache_bytes(self) -> int:
        """What the buffers of its slot take."""
        return self._slot.bytes

    def check(self, request: Request) -> None:
        """Raises BadRequest for what cannot be served; costs nothing."""
        settings = self.settings
        height, width = request.latent_size
        check_size_and_seed(request)
        frames, block = request.latent_frames, settings.block_latents
        alone = int(self._frame_0_is_alone(request))
        if frames < 1 or (frames - alone) % block:
            rule = f"1 + k * {block}" if alone else f"k * {block} without a picture"
            raise BadRequest(f"latent_frames must be {rule}, not {frames}")
        if frames > self.max_latents:
            raise BadRequest(f"latent_frames must be at most {self.max_latents}, not {frames}")
        if request.negative_embeddings is not None:
            raise BadRequest("negative_embeddings must be absent: this model has no guidance")
        made = history_frames(request)
        check_arrays(
            prompt_embeddings=(request.prompt_embeddings, settings.prompt_shape),
            image_tokens=(request.image_tokens, settings.image_shape),
            image_latent=(request.image_latent, (1, settings.channels, 1, height, width)),
            history=(request.history, (1, settings.channels, made, height, width)),
        )
        if made not in {0, *(end - self._first(request) for _, end in self._spans(request))}:
            raise BadRequest(f"history must end where a block ends, not after {made} latent frames")

    def blocks(
        self,
        request: Request,
        cancelled: Callable[[], bool] = lambda: False,
        count: Callable[[int], object] = lambda forwards: None,
    ) -> Generator[Block, None, None]:
        """Yields each block as soon as its latents are final, before the clean pass.

        The same request gives the same bytes, whatever runs before it or at the same time: all noise depends on the
        seed, the frame and the step. `cancelled` is called before every forward, and the iteration ends when it returns
        true; `count` is called with 1 after every forward. A video has ended when the iteration ends or is closed.

        Raises:
            BadRequest: before any work.
            OutOfMemory: nothing more can be made here; take another rollout.
        """
        self.check(request)
        spans, total = self._spans(request), self._total(request)
        first = self._first(request)
        made = first + (0 if request.history is None else request.history.shape[2])
        if not spans:
            return
        self._slot.begin(request.prompt_embeddings, request.image_tokens, request.latent_size)
        video = _Video(self, request.latent_size, cancelled, count)
        try:
            if request.image_latent is not None:
                video.cache(request.image_latent, 0)
            for start, end in spans:
                video.make_room(end - start)
                if end <= made and request.history is not None:
                    latents = np.ascontiguousarray(request.history[:, :, start - first : end - first])
                else:
                    latents = self._denoise(video, request, start, end)
                    yield Block(latents, start, video.forwards, total)
                if end < request.latent_frames:
                    video.cache(latents, start)
        except _Cancelled:
            return
        finally:
            self._slot.end()

    def warm_up(self) -> None:
        """Does what is done once, so that the first request does not pay for it. Raises OutOfMemory."""
        self._slot.warm_up(self.settings.warm_up_size)

    def _denoise(self, video: "_Video", request: Request, start: int, end: int) -> Floats:
        """One block: from noise, by an estimate of the clean latents at each timestep, noised again in between."""
        timesteps = self._timesteps(request, start)
        drawn = [
            noise(request.seed, start, end, step, self.settings.channels, request.latent_size)
            for step in range(len(timesteps))
        ]
        latents = drawn[0]
        for step, timestep in enumerate(timesteps):
            clean = without_noise(latents, video.forward(latents, timestep, start), sigma_at(timestep))
            if step + 1 == len(timesteps):
                break
            sigma = sigma_at(timesteps[step + 1])
            latents = (np.float32(1) - sigma) * clean + sigma * drawn[step + 1]
        return clean

    def _frame_0_is_alone(self, request: Request) -> bool:
        return request.image_latent is not None or self.settings.independent_first_frame

    def _first(self, request: Request) -> int:
        """The first latent frame that is to be made."""
        return 0 if request.image_latent is None else 1

    def _spans(self, request: Request) -> list[tuple[int, int]]:
        """The blocks of a request, as absolute latent frames: [start, end)."""
        block, alone = self.settings.block_latents, int(self._frame_0_is_alone(request))
        rest = [(at, at + block) for at in range(alone, request.latent_frames, block)]
        return [(0, 1), *rest] if alone > self._first(request) else rest

    def _timesteps(self, request: Request, start: int) -> tuple[float, ...]:
        """Of the block that begins at frame `start`; the first that is made may have others, also after a picture."""
        return self.settings.first_timesteps if start == self._first(request) else self.settings.timesteps

    def _total(self, request: Request) -> int:
        """Forwards of the whole request: of what is still to be made, and of every clean pass but the last block's."""
        spans = self._spans(request)
        made = self._first(request) + (0 if request.history is None else request.history.shape[2])
        steps = sum(len(self._timesteps(request, start)) for start, end in spans if end > made)
        return steps + max(len(spans) - 1, 0) + int(request.image_latent is not None and bool(spans))


class _Cancelled(Exception):
    """The request was cancelled."""


class _Video:
    """The progress of one request: how much of it is in the KV cache, and how many forwards it has taken."""

    def __init__(
        self, rollout: Rollout, size: tuple[int, int], cancelled: Callable[[], bool], count: Callable[[int], object]
    ) -> None:
        self.forwards = 0
        self._slot = rollout._slot
        self._settings = rollout.settings
        self._size = size
        self._cancelled = cancelled
        self._count = count
        self._past = 0

    def forward(self, latents: Floats, timestep: float, start: int, *, keep: bool = False) -> Floats:
        """The flow (1, C, f, h, w) of a block that starts at frame `start`.

        Raises:
            _Cancelled: before any work.
        """
        if self._cancelled():
            raise _Cancelled
        flow = self._slot.forward(latents, timestep, start, self._past, keep=keep)
        self.forwards += 1
        self._count(1)
        return flow

    def cache(self, latents: Floats, start: int) -> None:
        """The clean pass: the keys and values of final latents stay in the KV cache."""
        self.forward(latents, 0.0, start, keep=True)
        self._past += latents.shape[2]

    def make_room(self, frames: int) -> None:
        """Forgets the oldest frames after the sink, as many as the window has too few for `frames` more.

        What stays keeps its absolute positions, as in Self-Forcing, with its `local_attn_size` and `sink_size`.
        """
        excess = self._past + frames - self._settings.cache_latents
        if excess > 0:
            self._slot.forget(self._settings.sink_latents, excess)
            self._past -= excess


def sigma_at(timestep: float) -> np.float32:
    """The share of noise at a timestep: in rectified flow, latents = (1 - sigma) * clean + sigma * noise."""
    return np.float32(timestep / 1000)


def without_noise(latents: Floats, flow: Floats, sigma: np.float32) -> Floats:
    """The clean latents that a flow, noise minus clean, points to; in float64, as the difference cancels digits."""
    exact: npt.NDArray[np.float64] = latents.astype(np.float64) - float(sigma) * flow.astype(np.float64)
    return exact.astype(np.float32)
