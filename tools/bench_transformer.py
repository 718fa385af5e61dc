"""`python -m tools.bench_transformer`: what the transformer of a causal profile costs over PyTorch, block by block.

With random weights of the profile's sizes, so no checkpoint is needed; without Triton, encoders, decoder or the library
that the exporter takes models from. Every forward is timed as the loop sees it: latents in from the host, flow out to
it. The loop's own arithmetic and noise are not counted.

The floor of a forward is its arithmetic over the rate of dense matrix products. With N layers of width d, a net of
width w, prompts of L and pictures of T tokens, and n tokens a latent frame, a forward over f latent frames after p
cached ones has m = f * n tokens that attend to k = (p + f) * n, and takes, in floating-point operations:

    linear           N * m * 2 * (4 d**2 + 2 d**2 + 2 d w)      self-attention's four, cross-attention's two, the net's
    cross-attention  N * m * 4 * (L + T) * d                    its keys and values are made once a video
    self-attention   N * m * 4 * k * d

Patches in and out, time and norms are left out: less than one in a hundred. A block takes a forward a step to its first
pixels, and one more, the clean pass, for the blocks that follow it.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tools.export import profile_file
from tools.export.profile import Profile
from tools.export.transformer_settings import settings_of
from tools.model_code import load

PEAK_TFLOPS = 790.0
"""Dense bf16 matrix products on random data, measured on an H200; H100's are the same."""

DEVIATION = 0.02
"""Of the weights: activations stay about 1."""

ATTENTION = {"cudnn": "CUDNN_ATTENTION", "flash": "FLASH_ATTENTION", "efficient": "EFFICIENT_ATTENTION"}
"""Kernels that `--attention` can put first."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """Latent frames that are made together, and what is done for them."""

    start: int
    frames: int
    past: int
    """Latent frames in the cache before it."""
    timesteps: tuple[float, ...]
    """Of its denoising forwards; none: it is the picture, which is only put into the cache."""
    last: bool
    """No clean pass follows."""


@dataclass(frozen=True)
class Row:
    """What one block took, in seconds, and the arithmetic of its forwards."""

    block: Block
    denoise_s: float
    whole_s: float
    flop: float

    @property
    def tflops(self) -> float:
        """Of all its forwards."""
        return self.flop / self.whole_s / 1e12


def flop(profile: Profile, tokens: int, frames: int, past: int) -> float:
    """Floating-point operations of one forward; the module's docstring has the formulas."""
    size, image = profile.transformer, profile.image_encoder
    wide, new = size.heads * size.head_width, frames * tokens
    linear = 2 * (4 * wide**2 + 2 * wide**2 + 2 * wide * size.feed_forward)
    read = profile.text_encoder.length + (image.tokens if image else 0) + (past + frames) * tokens
    return float(size.layers * new * (linear + 4 * read * wide))


def blocks(profile: Profile) -> list[Block]:
    """Of the profile's longest video: after a picture, or from text where a profile has no frame 0 of its own."""
    schedule = profile.schedule
    assert schedule is not None
    size, room, length = schedule.block_latents, schedule.cache_latents, schedule.max_latents
    first = int(schedule.independent_first_frame)
    starts = range(first, length - size + 1, size)
    made = [Block(0, 1, 0, (), last=False)] if first else []
    for start in starts:
        steps = schedule.first_timesteps if start == starts[0] and schedule.first_timesteps else schedule.timesteps
        past = min(start, room - size)
        made.append(Block(start, size, past, schedule.warped(steps), last=start == starts[-1]))
    return made


def settings(profile: Profile) -> Any:
    """What the exporter would write for the runtime."""
    assert profile.schedule is not None, "the bench goes block by block"
    content = {key: tuple(each) if isinstance(each, list) else each for key, each in settings_of(profile).items()}
    return load("transformer", "transformer_settings").Settings(**content)


def runtime(profile: Profile, device: str, **how: Any) -> Any:
    """TorchRuntime with random weights, the same each time: norms multiply by about 1, all else is small."""
    generator = torch.Generator(device).manual_seed(0)

    def read(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        drawn = torch.empty(shape, dtype=dtype, device=device).normal_(std=DEVIATION, generator=generator)
        return drawn + 1 if "norm" in name and name.endswith("weight") else drawn

    return load("transformer", "network_runtime_torch").TorchRuntime(
        Path(), settings(profile), device, read=read, **how
    )


class Bench:
    """One slot of a runtime and a video to make in it, of noise."""

    def __init__(self, profile: Profile, of: Any, size: tuple[int, int]) -> None:
        self._profile, self._size, self._settings = profile, size, of.settings
        self._random = np.random.default_rng(0)
        self.slot = of.slot()

    def begin(self) -> None:
        """A new video."""
        settings = self._settings
        picture = self._draw(*settings.image_shape) if settings.image_tokens else None
        self.slot.begin(self._draw(*settings.prompt_shape), picture, self._size)

    def rows(self) -> Iterator[Row]:
        """Makes the video, yielding what each block took."""
        self.begin()
        held = 0
        for block in blocks(self._profile):
            if held > block.past:
                assert self._profile.schedule is not None
                self.slot.forget(self._profile.schedule.sink_latents, held - block.past)
            yield self.row(block)
            held = block.past + block.frames

    def row(self, block: Block) -> Row:
        """One block after those that are cached."""
        latents = self._draw(1, self._settings.channels, block.frames, *self._size)
        began = time.perf_counter()
        for timestep in block.timesteps:
            self.slot.forward(latents, timestep, block.start, block.past, keep=False)
        denoised = time.perf_counter()
        if not block.last:
            self.slot.forward(latents, 0.0, block.start, block.past, keep=True)
        whole = time.perf_counter() - began
        each = flop(self._profile, self._size[0] * self._size[1] // 4, block.frames, block.past)
        return Row(block, denoised - began, whole, each * (len(block.timesteps) + (not block.last)))

    def flow(self) -> Floats:
        """Of the last forward of the first block and its predecessor, to be compared."""
        self._random = np.random.default_rng(1)
        self.begin()
        first, second = blocks(self._profile)[:2]
        self.slot.forward(self._draw(1, self._settings.channels, first.frames, *self._size), 0.0, 0, 0, keep=True)
        latents = self._draw(1, self._settings.channels, second.frames, *self._size)
        flow: Floats = self.slot.forward(latents, 1000.0, second.start, second.past, keep=False)
        return flow

    def _draw(self, *shape: int) -> Floats:
        return self._random.standard_normal(shape, dtype=np.float32)


def table(profile: Profile, rows: list[Row], peak: float) -> Iterator[str]:
    """The measured blocks as a table, and what they come to."""
    yield "   block  frames  past  denoise ms  whole ms  floor ms  TFLOP/s  floor/whole"
    for number, row in enumerate(rows, start=1 - (not rows[0].block.timesteps)):
        name = str(number) if row.block.timesteps else "picture"
        floor = row.flop / peak / 1e12
        yield (
            f"{name:>8}{row.block.frames:8}{row.block.past:6}{row.denoise_s * 1e3:12.1f}{row.whole_s * 1e3:10.1f}"
            f"{floor * 1e3:10.3g}{row.tflops:9.3g}{floor / row.whole_s:13.2%}"
        )
    whole, operations = sum(row.whole_s for row in rows), sum(row.flop for row in rows)
    frames = 1 + 4 * (sum(row.block.frames for row in rows) - 1)
    floor = operations / peak / 1e12
    yield (
        f"video: {frames} frames in {whole:.3f} s: {frames / whole:.1f} frames/s; the floor is {floor:.3g} s, "
        f"{frames / floor:.3g} frames/s"
    )
    rate = operations / whole / 1e12
    yield f"arithmetic: {operations / 1e12:.3g} TFLOP at {rate:.3g} TFLOP/s, {rate / peak:.2%} of {peak:g}"
    to_pixels = sum(row.whole_s for row in rows[:-1] if not row.block.timesteps)
    first = next(row for row in rows if row.block.timesteps)
    yield f"first pixels: {(to_pixels + first.denoise_s) * 1e3:.1f} ms, the picture's own forward among them"


def measure(profile: Profile, device: str, size: tuple[int, int], options: argparse.Namespace) -> Iterator[str]:
    """Warms up, makes `rounds` videos, and yields the table of the one that took least."""
    how: dict[str, Any] = {"compile": False} if options.no_compile else {}
    how |= {"graphs": False} if options.no_graphs else {}
    made = runtime(profile, device, **how)
    if options.attention:
        name = getattr(torch.nn.attention.SDPBackend, ATTENTION[options.attention])
        made.attention = sorted(made.attention, key=lambda each: each != name)
    bench = Bench(profile, made, size)
    began = time.perf_counter()
    bench.slot.warm_up(size)
    yield f"warm-up {time.perf_counter() - began:.1f} s"
    videos = [list(bench.rows()) for _ in range(options.rounds)]
    yield from table(profile, min(videos, key=lambda rows: sum(row.whole_s for row in rows)), options.peak)
    yield f"memory: {bench.slot.bytes / 1e9:.2f} GB of buffers a slot, {peak_bytes(device) / 1e9:.2f} GB at most in all"
    fast = bench.flow()
    plain = Bench(profile, runtime(profile, device, compile=False, graphs=False), size).flow()
    apart, spread = np.abs(fast - plain).max(), plain.std()
    yield f"compared with eager, the same weights: flows differ by {apart:.1e} at most, of a deviation of {spread:.2g}"


def peak_bytes(device: str) -> int:
    """The most memory that was taken so far: of the GPU by torch, or of the host by this process."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(torch.cuda.max_memory_allocated(device))


def main(arguments: list[str] | None = None, say: Callable[[str], object] = print) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench_transformer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", default="nano", help="a causal one")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:<number>")
    parser.add_argument("--size", help="WIDTHxHEIGHT in pixels; the first of the profile's card")
    parser.add_argument("--precision", choices=("fp32", "fp16", "bf16"), help="another than the profile's")
    parser.add_argument("--rounds", type=int, default=3, help="videos, of which the fastest counts")
    parser.add_argument("--peak", type=float, default=PEAK_TFLOPS, help="TFLOP/s that the floor is computed with")
    parser.add_argument("--attention", choices=ATTENTION, help="the kernel to try first on a GPU")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-graphs", action="store_true")
    options = parser.parse_args(arguments)
    profile = profile_file.load(options.profile)
    if profile.schedule is None:
        parser.error(f"{profile.name} is not a causal profile")
    if options.precision:
        profile = profile_file.with_engine(profile, [f"precision={options.precision}"])
    width, height = (int(side) for side in (options.size or profile.card.sizes[0]).split("x"))
    where = f"on {options.device}, torch {torch.__version__}"
    say(f"{profile.name} at {width}x{height}, {profile.engine.precision}, {where}")
    for line in measure(profile, options.device, (height // 8, width // 8), options):
        say(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
