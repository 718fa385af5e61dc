"""`python -m tools.bench_models`: what the exported models cost, beside the same weights in torch.

One video of 81 frames at 128x224 with profile nano: encoders, the whole denoising loop, the whole decode; in this
process, without Triton. torch runs the same computation by the same libraries, eagerly: the loop over the KV cache, the
decoder latent by latent.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import onnxruntime
import torch

from tools.export import build, encoders, profile, transformer
from tools.model_code import REPOSITORY, load

HEIGHT, WIDTH = 128, 224


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    stage: str
    exported_s: float
    torch_s: float | None
    """None: has no counterpart."""

    @property
    def ratio(self) -> float | None:
        """How many times faster the exported stage is."""
        return None if self.torch_s is None else self.torch_s / self.exported_s


@contextmanager
def timed(times: dict[str, float], name: str) -> Iterator[None]:
    """Puts the seconds that the body takes into `times`."""
    began = time.perf_counter()
    yield
    times[name] = time.perf_counter() - began


def measure(name: str = "nano", threads: int = 2) -> list[Row]:
    """Times every stage once, after a warm-up, on `threads` threads; the last rows are totals.

    Raises:
        FileNotFoundError: the profile is not exported.
    """
    chosen = profile.load(name)
    torch.set_num_threads(threads)
    pixels = a_picture()
    exported, of_torch = exported_times(chosen, pixels, threads), torch_times(chosen, pixels)
    rows = [Row(stage, exported.pop(stage), seconds) for stage, seconds in of_torch.items()]
    rows.append(Row("all, one after the other", sum(row.exported_s for row in rows), sum(of_torch.values())))
    return rows + [Row(stage, seconds, None) for stage, seconds in exported.items()]


def a_picture() -> torch.Tensor:
    """(1, 3, H, W) in [-1, 1]: always the same."""
    return torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 2 - 1


def conditions(chosen: profile.Profile, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the text encoder and the image encoder read: token ids, their mask, the picture as a square."""
    ids, mask = encoders.tokenize("a cat walks along the beach at sunset", chosen.text_encoder.length)
    side = chosen.image_encoder.size
    return torch.tensor([ids]), torch.tensor([mask]), torch.nn.functional.interpolate(pixels, (side, side))


def exported_times(chosen: profile.Profile, pixels: torch.Tensor, threads: int) -> dict[str, float]:
    """Seconds of each stage on the exported graphs."""
    rollout_code, decode_code = load("transformer", "rollout"), load("vae_decoder", "decode")
    rollout = rollout_code.Rollout(REPOSITORY / "transformer" / "1", threads)
    decoder = decode_code.Decoder(REPOSITORY / "vae_decoder" / "1", threads)
    sessions: dict[str, onnxruntime.InferenceSession] = {
        each: rollout_code.session(REPOSITORY / each / "1" / "model.onnx", threads)
        for each in ("text_encoder", "image_encoder", "vae_encoder")
    }
    ids, mask, square = (each.numpy() for each in conditions(chosen, pixels))

    def encode() -> Any:
        return (
            sessions["text_encoder"].run(None, {"input_ids": ids, "attention_mask": mask})[0],
            sessions["image_encoder"].run(None, {"pixels": square})[0],
            sessions["vae_encoder"].run(None, {"pixels": pixels.numpy()})[0],
        )

    def request(frames: int) -> Any:
        return rollout_code.Request(
            prompt_embeddings=prompt,
            image_tokens=tokens,
            image_latent=latent,
            latent_size=(HEIGHT // 8, WIDTH // 8),
            latent_frames=frames,
            seed=1,
        )

    prompt, tokens, latent = encode()
    frames, block = chosen.schedule.max_latents, chosen.schedule.block_latents
    warm = [made.latents for made in rollout.blocks(request(1 + block))]
    decoder.decode(decode_code.Clip(), np.concatenate((latent, *warm), 2))
    times: dict[str, float] = {}
    with timed(times, "encoders"):
        encode()
    with timed(times, "transformer"):
        blocks = [made.latents for made in rollout.blocks(request(frames))]
    with timed(times, "VAE decode"):
        clip = decode_code.Clip()
        for each in (latent, *blocks):
            decoder.decode(clip, each)
    overlapped(
        times,
        rollout.blocks(request(frames)),
        lambda clip, each: decoder.decode(clip, each),
        decode_code.Clip(),
        latent,
    )
    return times


def overlapped(
    times: dict[str, float], blocks: Iterator[Any], decode: Callable[[Any, Any], Any], clip: Any, latent: Any
) -> None:
    """The loop and the decoder at once, as Triton runs them: a block is decoded while the next is made."""
    began = time.perf_counter()
    ready = threading.Semaphore(0)
    waiting: list[Any] = []

    def make() -> None:
        for made in blocks:
            waiting.append(made.latents)
            ready.release()
        waiting.append(None)
        ready.release()

    maker = threading.Thread(target=make)
    maker.start()
    decode(clip, latent)
    first = None
    while True:
        ready.acquire()
        latents = waiting.pop(0)
        if latents is None:
            break
        decode(clip, latents)
        first = first or time.perf_counter() - began
    maker.join()
    times["loop and decode overlapped"] = time.perf_counter() - began
    times["  of which to the first block"] = first or 0.0


def torch_times(chosen: profile.Profile, pixels: torch.Tensor) -> dict[str, float]:
    """Seconds of each stage in torch."""
    models = build.Models.of(chosen)
    context, block = transformer.Context(models.transformer), transformer.Block(models.transformer)
    ids, mask, square = conditions(chosen, pixels)
    times: dict[str, float] = {}

    def encode() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        moments = models.vae.encode(pixels.unsqueeze(2)).latent_dist.mean
        return models.text_encoder(ids, mask), models.image_encoder(square), moments

    def loop(frames: int) -> torch.Tensor:
        size = chosen.transformer
        cross = list(context(prompt, tokens))
        past = [torch.zeros(1, size.heads, 0, size.head_width) for _ in range(2 * size.layers)]
        height, width = latent.shape[3:]
        made = [latent]

        def forward(latents: torch.Tensor, start: int, timestep: float) -> tuple[torch.Tensor, list[torch.Tensor]]:
            count = latents.shape[2]
            cos, sin = transformer.rotary(size.head_width, start, count, height // 2, width // 2)
            flow, *new = block(latents, torch.full((count,), timestep), cos, sin, cross, past)
            return flow, new

        def remember(latents: torch.Tensor, start: int) -> None:
            _, new = forward(latents, start, 0.0)
            past[:] = [torch.cat(pair, dim=2) for pair in zip(past, new, strict=True)]

        remember(latent, 0)
        steps = [*chosen.schedule.warped, 0.0]
        for start in range(1, frames, chosen.schedule.block_latents):
            x = torch.randn(1, latent.shape[1], chosen.schedule.block_latents, height, width)
            for timestep, following in pairwise(steps):
                clean = x - timestep / 1000 * forward(x, start, timestep)[0]
                x = (1 - following / 1000) * clean + following / 1000 * torch.randn_like(x)
            made.append(clean)
            if start + chosen.schedule.block_latents < frames:
                remember(clean, start)
        return torch.cat(made, dim=2)

    with torch.inference_mode():
        prompt, tokens, latent = encode()
        loop(1 + chosen.schedule.block_latents)
        models.vae.decode(latent)
        with timed(times, "encoders"):
            encode()
        with timed(times, "transformer"):
            latents = loop(chosen.schedule.max_latents)
        with timed(times, "VAE decode"):
            models.vae.decode(latents)
    return times


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_models", description=__doc__)
    parser.add_argument("--profile", default="nano")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rows = measure(options.profile, options.threads)
    print(f"{options.profile}: 81 frames, {HEIGHT}x{WIDTH}, {options.threads} threads; seconds")
    print(f"{'':32}{'exported':>10}{'torch':>10}{'ratio':>8}")
    for row in rows:
        compared = "" if row.torch_s is None else f"{row.torch_s:10.2f}{row.ratio:8.1f}"
        print(f"{row.stage:32}{row.exported_s:10.2f}{compared}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
