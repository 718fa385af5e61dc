"""The denoising loop: a video's latents, block by block, over a KV cache of everything before.

The picture's latent, when there is one, is latent frame 0: one forward at t = 0 puts it into the cache. Each block then
starts as noise and takes one forward per timestep, with fresh noise between; a last forward at t = 0, the clean pass,
puts what came out into the cache for the blocks that follow. Plain numpy over two ONNX graphs; knows nothing of Triton.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Floats = npt.NDArray[np.float32]

PATCH = 2
"""Latent pixels a side of one token."""


class BadRequest(ValueError):
    """The request can never be served; the message says what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Request:
    prompt_embeddings: Floats
    """(1, L, D), rows of padding zero."""
    image_tokens: Floats | None = None
    """(1, T, D'), or none: nothing attends to a picture then."""
    image_latent: Floats | None = None
    """(1, C, 1, h, w), normalised: latent frame 0, or none: then it is made, as a first block of one frame."""
    latent_size: tuple[int, int]
    """(h, w), both even."""
    latent_frames: int
    """Of the whole video, frame 0 included: 1 + k * block_latents."""
    seed: int
    """0 to 2**63 - 1."""
    history: Floats | None = None
    """(1, C, n, h, w): latents of this very request that are made already, from the first that it would make on."""


@dataclass(frozen=True)
class Block:
    latents: Floats
    """(1, C, f, h, w), normalised, final."""
    start: int
    """Absolute latent frame of its first."""
    forwards: int
    """Of the transformer, since the request began."""


class Rollout:
    """Makes videos with one profile's transformer. Not thread-safe; each video has its own cache."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._context = session(folder / "context.onnx", threads)
        self._block = session(folder / "block.onnx", threads)
        shapes = {each.name: each.shape for each in (*self._context.get_inputs(), *self._block.get_inputs())}
        stated = {key: json.loads(value) for key, value in self._block.get_modelmeta().custom_metadata_map.items()}
        self.block_latents: int = stated["block_latents"]
        self.max_latents: int = stated["max_latents"]
        self.timesteps: list[float] = stated["timesteps"]
        self.channels: int = shapes["latents"][1]
        self.prompt_shape: tuple[int, ...] = tuple(shapes["prompt_embeddings"])
        self.image_shape: tuple[int, ...] = tuple(shapes["image_tokens"])
        _, self._heads, _, self._width = shapes["past_key_0"]
        self._cross = [each.name for each in self._context.get_outputs()]
        self._new = [each.name for each in self._block.get_outputs()[1:]]

    def check(self, request: Request) -> None:
        """Raises BadRequest for what cannot be served; costs nothing."""
        height, width = request.latent_size
        if height < PATCH or width < PATCH or height % PATCH or width % PATCH:
            raise BadRequest(f"latent_size must be two even numbers from {PATCH}, not {height} x {width}")
        frames = request.latent_frames
        if frames < 1 or (frames - 1) % self.block_latents:
            raise BadRequest(f"latent_frames must be 1 + k * {self.block_latents}, not {frames}")
        if frames > self.max_latents:
            raise BadRequest(f"latent_frames must be at most {self.max_latents}, not {frames}: the cache holds no more")
        if not 0 <= request.seed < 2**63:
            raise BadRequest(f"seed must be from 0 to 2**63 - 1, not {request.seed}")
        made = 0 if request.history is None else request.history.shape[2] if request.history.ndim == 5 else -1
        for name, given, wanted in (
            ("prompt_embeddings", request.prompt_embeddings, self.prompt_shape),
            ("image_tokens", request.image_tokens, self.image_shape),
            ("image_latent", request.image_latent, (1, self.channels, 1, height, width)),
            ("history", request.history, (1, self.channels, made, height, width)),
        ):
            if given is not None and given.shape != wanted:
                raise BadRequest(f"{name} must have the shape {wanted}, not {given.shape}")
            if given is not None and not np.isfinite(given).all():
                raise BadRequest(f"{name} must be finite")
        if made not in {0, *(end - self._first(request) for _, end in self._spans(request))}:
            raise BadRequest(f"history must end where a block ends, not after {made} latent frames")

    def blocks(
        self,
        request: Request,
        cancelled: Callable[[], bool] = lambda: False,
        count: Callable[[int], object] = lambda forwards: None,
    ) -> Iterator[Block]:
        """Yields each block as soon as its latents are final, before the clean pass.

        The same request gives the same bytes, whatever ran before: all noise comes from the seed, the frame and the
        step. `cancelled` is asked before every forward, and the iteration ends when it says so; `count` is called with
        1 after every forward.

        Raises:
            BadRequest: before any work.
        """
        self.check(request)
        video = _Video(self, request, count)
        if request.image_latent is not None:
            if cancelled():
                return
            video.remember(request.image_latent, 0)
        made = self._first(request) + (0 if request.history is None else request.history.shape[2])
        for start, end in self._spans(request):
            if end <= made and request.history is not None:
                offset = start - self._first(request)
                latents = np.ascontiguousarray(request.history[:, :, offset : offset + end - start])
            else:
                latents = noise(request.seed, start, end, 0, self.channels, request.latent_size)
                for step, timestep in enumerate(self.timesteps):
                    if cancelled():
                        return
                    clean = latents - np.float32(timestep / 1000) * video.forward(latents, start, timestep)[0]
                    if step + 1 == len(self.timesteps):
                        latents = clean
                        break
                    sigma = np.float32(self.timesteps[step + 1] / 1000)
                    fresh = noise(request.seed, start, end, step + 1, self.channels, request.latent_size)
                    latents = (np.float32(1) - sigma) * clean + sigma * fresh
                yield Block(latents, start, video.forwards)
            if end < request.latent_frames:
                if cancelled():
                    return
                video.remember(latents, start)

    def warm_up(self) -> None:
        """Runs both graphs once on the smallest picture, so that the first request does not pay for it."""
        prompt = np.zeros(self.prompt_shape, np.float32)
        image = np.zeros((1, self.channels, 1, PATCH, PATCH), np.float32)
        frames = min(1 + self.block_latents, self.max_latents)
        request = Request(
            prompt_embeddings=prompt, image_latent=image, latent_size=(PATCH, PATCH), latent_frames=frames, seed=0
        )
        for _ in self.blocks(request):
            pass

    def _first(self, request: Request) -> int:
        """The first latent frame that is to be made."""
        return 0 if request.image_latent is None else 1

    def _spans(self, request: Request) -> list[tuple[int, int]]:
        """The blocks of a request, as absolute latent frames: [start, end)."""
        rest = [(at, at + self.block_latents) for at in range(1, request.latent_frames, self.block_latents)]
        return rest if request.image_latent is not None else [(0, 1), *rest]


class _Video:
    """One request on its way: what its blocks attend to, and how many forwards it has taken."""

    def __init__(self, rollout: Rollout, request: Request, count: Callable[[int], object]) -> None:
        self.forwards = 0
        self._count = count
        self._rollout = rollout
        self._size = request.latent_size
        image = request.image_tokens
        tokens = np.zeros(rollout.image_shape, np.float32) if image is None else image
        context = rollout._context.run(None, {"prompt_embeddings": request.prompt_embeddings, "image_tokens": tokens})
        self._fixed: dict[str, Any] = dict(zip(rollout._cross, context, strict=True))
        if image is None:
            # Attention over zero values adds nothing, whatever its keys.
            self._fixed.update({name: np.zeros_like(self._fixed[name]) for name in self._fixed if "image" in name})
        empty = np.zeros((1, rollout._heads, 0, rollout._width), np.float32)
        self._past = {name.replace("new_", "past_"): empty for name in rollout._new}

    def forward(self, latents: Floats, start: int, timestep: float) -> list[Floats]:
        """The flow (1, C, f, h, w) of a block that starts at frame `start`, and its keys and values of each layer."""
        frames = latents.shape[2]
        height, width = self._size
        cos, sin = rotary(self._rollout._width, start, frames, height // PATCH, width // PATCH)
        timesteps = np.full((frames,), timestep, np.float32)
        inputs = {"latents": latents, "timesteps": timesteps, "cos": cos, "sin": sin, **self._fixed, **self._past}
        outputs: list[Floats] = self._rollout._block.run(None, inputs)
        self.forwards += 1
        self._count(1)
        return outputs

    def remember(self, latents: Floats, start: int) -> None:
        """The clean pass: appends the keys and values of final latents to the cache."""
        _, *new = self.forward(latents, start, 0.0)
        for name, added in zip(self._past, new, strict=True):
            self._past[name] = np.concatenate((self._past[name], added), axis=2)


def noise(seed: int, start: int, end: int, step: int, channels: int, size: tuple[int, int]) -> Floats:
    """Standard normal noise (1, C, end - start, h, w); each frame has a generator of its seed, number and step."""
    frames = [
        np.random.Generator(np.random.Philox(key=[seed, frame << 32 | step])).standard_normal(
            (channels, *size), dtype=np.float32
        )
        for frame in range(start, end)
    ]
    return np.stack(frames, axis=1)[None]


def rotary(head_width: int, start: int, frames: int, height: int, width: int) -> tuple[Floats, Floats]:
    """The rotary table of `frames` latent frames from frame `start`, rows and columns counting tokens.

    cos and sin, each (frames * height * width, head_width / 2): a third of the pairs each for rows and for columns,
    the rest for frames.
    """
    side = head_width // 6
    angles = np.empty((frames, height, width, head_width // 2))
    time = head_width // 2 - 2 * side
    angles[..., :time] = _angles(np.arange(start, start + frames), time)[:, None, None]
    angles[..., time : time + side] = _angles(np.arange(height), side)[None, :, None]
    angles[..., time + side :] = _angles(np.arange(width), side)[None, None]
    table = angles.reshape(-1, head_width // 2)
    return np.cos(table).astype(np.float32), np.sin(table).astype(np.float32)


def _angles(positions: npt.NDArray[Any], pairs: int) -> npt.NDArray[np.float64]:
    return np.outer(positions, 10000.0 ** -(np.arange(pairs) / pairs))


def session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session that leaves the cores to others while it waits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
