"""`python -m tools.bench_models`: what the exported models cost, beside the same weights in torch.

One video of 81 frames at 128x224 with profile nano: encoders, the whole denoising loop, the whole decode; in this
process, without Triton. torch runs the same computation by the same libraries, eagerly: the loop over the KV cache, the
decoder latent by latent.
"""

import argparse
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch.nn.functional import scaled_dot_product_attention

from tools.export import causal_transformer, profile_file, text_and_image_encoders, vae
from tools.export.module_weights import Loaded
from tools.export.weights import Weights
from tools.model_code import REPOSITORY, load

HEIGHT, WIDTH = 128, 224
OVERLAPPED = "loop and decode overlapped"
PROMPT = "a cat walks along the beach at sunset"


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


def measure(name: str = "nano", threads: int = 2) -> tuple[list[Row], list["Span"]]:
    """Times every stage once, after a warm-up, on `threads` threads; the last rows are totals. Then the trace of it.

    Raises:
        FileNotFoundError: the profile is not exported.
    """
    chosen = profile_file.load(name)
    torch.set_num_threads(threads)
    pixels = a_picture()
    (exported, spans), of_torch = exported_times(chosen, pixels, threads), torch_times(chosen, pixels)
    rows = [Row(stage, exported.pop(stage), seconds) for stage, seconds in of_torch.items()]
    rows.append(Row("all, one after the other", sum(row.exported_s for row in rows), sum(of_torch.values())))
    return rows + [Row(stage, seconds, None) for stage, seconds in exported.items()], spans


def a_picture() -> torch.Tensor:
    """(1, 3, H, W) in [-1, 1]: always the same."""
    return torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 2 - 1


def exported_times(
    chosen: profile_file.Profile, pixels: torch.Tensor, threads: int
) -> tuple[dict[str, float], list["Span"]]:
    """Seconds of each stage on the exported graphs, and when each block was made and decoded."""
    code, decode_code = load("transformer", "causal_pipeline"), load("vae_decoder", "latent_decoder")
    runtime, folder = load("transformer", "kv_cache_runtime_onnx"), REPOSITORY / "transformer" / "1"
    settings = load("transformer", "transformer_settings").Settings.read(folder)
    rollout = code.Rollout(runtime.OnnxRuntime(folder, settings, threads, "cpu"))
    decoder = decode_code.Decoder(REPOSITORY / "vae_decoder" / "1", threads)
    picture_encoder = load("vae_encoder", "picture_encoder").Encoder(REPOSITORY / "vae_encoder" / "1", threads)
    text, image = (
        runtime.session(REPOSITORY / each / "1" / "model.onnx", threads) for each in ("text_encoder", "image_encoder")
    )
    ids, mask = load("tokenizer", "tokenize_prompt").PromptTokenizer(REPOSITORY / "tokenizer" / "1")(PROMPT)

    def encode() -> Any:
        return (
            text.run(None, {"input_ids": ids, "attention_mask": mask})[0],
            image.run(None, {"pixels": pixels.numpy()})[0],
            picture_encoder.encode(pixels.numpy()),
        )

    def request(frames: int) -> Any:
        return code.Request(
            prompt_embeddings=prompt,
            image_tokens=tokens,
            image_latent=latent,
            latent_size=(HEIGHT // 8, WIDTH // 8),
            latent_frames=frames,
            seed=1,
        )

    prompt, tokens, latent = encode()
    rollout.warm_up()
    warm = [made.latents for made in rollout.blocks(request(1 + settings.block_latents))]
    decoder.decode(decode_code.Clip(), np.concatenate((latent, *warm), 2))
    times: dict[str, float] = {}
    with timed(times, "encoders"):
        encode()
    with timed(times, "transformer"):
        blocks = [made.latents for made in rollout.blocks(request(settings.max_latents))]
    with timed(times, "VAE decode"):
        clip = decode_code.Clip()
        for each in (latent, *blocks):
            decoder.decode(clip, each)
    if chosen.tiny_vae is not None:
        tiny = decode_code.Decoder(REPOSITORY / "vae_decoder_tiny" / "1", threads)
        tiny.decode(decode_code.Clip(), np.concatenate((latent, *warm), 2))
        with timed(times, "tiny VAE decode"):
            clip = decode_code.Clip()
            for each in (latent, *blocks):
                tiny.decode(clip, each)
    clip = decode_code.Clip()
    spans = overlapped(rollout.blocks(request(settings.max_latents)), lambda each: decoder.decode(clip, each), latent)
    times[OVERLAPPED] = max(span.end_s for span in spans)
    times["  of which to the first block"] = min(span.end_s for span in spans if span.what == "decoder")
    return times, spans


@dataclass(frozen=True)
class Span:
    """When a block was made, or decoded; seconds since the video began."""

    what: str
    block: int
    begin_s: float
    end_s: float


def overlapped(blocks: Iterator[Any], decode: Callable[[Any], Any], latent: Any) -> list[Span]:
    """The loop and the decoder at once, as Triton runs them: a block is decoded while the next is made."""
    began = time.perf_counter()
    spans: list[Span] = []
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def make() -> None:
        last = 0.0
        for index, block in enumerate(blocks):
            now = time.perf_counter() - began
            spans.append(Span("transformer", index, last, now))
            made.put(block.latents)
            last = now
        made.put(None)

    maker = threading.Thread(target=make)
    maker.start()
    decode(latent)
    index = -1
    while (latents := made.get()) is not None:
        index += 1
        begin = time.perf_counter() - began
        decode(latents)
        spans.append(Span("decoder", index, begin, time.perf_counter() - began))
    maker.join()
    return spans


def trace(spans: list[Span], width: int = 72) -> Iterator[str]:
    """The spans as lines, a block each: = while the transformer makes it, # while it is decoded."""
    end = max(span.end_s for span in spans)
    for block in range(1 + max(span.block for span in spans)):
        line = [" "] * (width + 1)
        for span in spans:
            if span.block == block:
                for at in range(round(width * span.begin_s / end), round(width * span.end_s / end)):
                    line[at] = "=" if span.what == "transformer" else "#"
        yield f"  block {block:2} |{''.join(line).rstrip():{width}}|"


def share_overlapped(spans: list[Span]) -> float:
    """Share of the transformer's time, its first block left out, in which the decoder works too."""
    making = [span for span in spans if span.what == "transformer" and span.block > 0]
    decoding = [span for span in spans if span.what == "decoder"]
    both = sum(
        max(0.0, min(one.end_s, other.end_s) - max(one.begin_s, other.begin_s)) for one in making for other in decoding
    )
    return both / sum(span.end_s - span.begin_s for span in making)


class CachedAttention:
    """Self-attention over a cache, as anyone would write it in torch: what is new is put behind what was there."""

    past: tuple[torch.Tensor, ...] = ()
    new: tuple[torch.Tensor, ...] = ()

    def __call__(self, attn: Any, x: torch.Tensor, _context: None, _mask: None, rotary: Any) -> torch.Tensor:
        """(1, tokens, dim) -> (1, tokens, dim)."""
        query, key = (
            causal_transformer.rotate(projected, rotary[0], rotary[1], attn.heads)
            .unflatten(2, (attn.heads, -1))
            .transpose(1, 2)
            for projected in (attn.norm_q(attn.to_q(x)), attn.norm_k(attn.to_k(x)))
        )
        self.new = key, attn.to_v(x).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        out: torch.Tensor = attn.to_out[0](
            scaled_dot_product_attention(query, *self.whole()).transpose(1, 2).flatten(2)
        )
        return out

    def whole(self) -> tuple[torch.Tensor, ...]:
        """Keys and values, (1, heads, tokens, width), of the cache and what is new."""
        if not self.past:
            return self.new
        return tuple(torch.cat(pair, dim=2) for pair in zip(self.past, self.new, strict=True))


class PreparedAttention:
    """Cross-attention over keys and values that were projected once a video."""

    def __call__(self, attn: Any, x: torch.Tensor, context: Any, _mask: None, _rotary: None) -> torch.Tensor:
        """(1, tokens, dim) -> (1, tokens, dim)."""
        query = attn.norm_q(attn.to_q(x)).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        read = [scaled_dot_product_attention(query, *pair) for pair in context]
        out: torch.Tensor = attn.to_out[0](torch.stack(read).sum(0).transpose(1, 2).flatten(2))
        return out


class TorchLoop:
    """The denoising loop in torch, eagerly, on the library's own blocks."""

    def __init__(self, model: WanTransformer3DModel, schedule: profile_file.Schedule) -> None:
        self.model, self.schedule = model, schedule
        self.context = causal_transformer.Context(model)
        self.rotary = load("transformer", "position_and_time")
        self.attentions = [CachedAttention() for _ in model.blocks]
        for block, attention in zip(model.blocks, self.attentions, strict=True):
            block.attn1.set_processor(attention)
            block.attn2.set_processor(PreparedAttention())

    def video(self, prompt: torch.Tensor, tokens: torch.Tensor, latent: torch.Tensor, frames: int) -> torch.Tensor:
        """Latents (1, C, frames, h, w), the picture's first."""
        heads = self.model.config.num_attention_heads
        flat = [each.unflatten(2, (heads, -1)).transpose(1, 2) for each in self.context(prompt, tokens)]
        self.cross = [[flat[at : at + 2], flat[at + 2 : at + 4]] for at in range(0, len(flat), 4)]
        for attention in self.attentions:
            attention.past = ()
        self.remember(latent, 0)
        made, steps, size = [latent], [*self.schedule.warped(self.schedule.timesteps), 0.0], self.schedule.block_latents
        for start in range(1, frames, size):
            x = torch.randn(1, latent.shape[1], size, *latent.shape[3:])
            for timestep, following in pairwise(steps):
                clean = x - timestep / 1000 * self.forward(x, start, timestep)
                x = (1 - following / 1000) * clean + following / 1000 * torch.randn_like(x)
            made.append(clean)
            if start + size < frames:
                self.remember(clean, start)
        return torch.cat(made, dim=2)

    def forward(self, latents: torch.Tensor, start: int, timestep: float) -> torch.Tensor:
        """The flow, (1, C, F, h, w)."""
        model, (_, _, frames, height, width) = self.model, latents.shape
        rotary = [
            torch.from_numpy(each)
            for each in self.rotary.rotary(model.config.attention_head_dim, start, frames, height // 2, width // 2)
        ]
        x = model.patch_embedding(latents).flatten(2).transpose(1, 2)
        embedder = model.condition_embedder
        time_ = embedder.time_embedder(embedder.timesteps_proj(torch.tensor([timestep])))
        modulation = embedder.time_proj(embedder.act_fn(time_)).unflatten(1, (6, -1))
        for block, context in zip(model.blocks, self.cross, strict=True):
            x = block(x, context, modulation, rotary)
        shift, scale = (model.scale_shift_table + time_.unsqueeze(1)).chunk(2, dim=1)
        x = model.proj_out(model.norm_out(x) * (1 + scale) + shift)
        x = x.unflatten(2, (2, 2, -1)).unflatten(1, (frames, height // 2, width // 2))
        flow: torch.Tensor = x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)
        return flow

    def remember(self, latents: torch.Tensor, start: int) -> None:
        """The clean pass."""
        self.forward(latents, start, 0.0)
        tokens = latents.shape[3] * latents.shape[4] // 4
        most, sink = (self.schedule.cache_latents - self.schedule.block_latents), self.schedule.sink_latents
        for attention in self.attentions:
            attention.past = attention.whole()
            count = attention.past[0].shape[2] // tokens
            if count > most:  # the oldest frames after the sink leave the window
                kept = [*range(sink * tokens), *range((sink + count - most) * tokens, count * tokens)]
                attention.past = tuple(each[:, :, kept] for each in attention.past)


def torch_times(chosen: profile_file.Profile, pixels: torch.Tensor) -> dict[str, float]:
    """Seconds of each stage by the libraries' own modules, eager, on the same weights."""
    learnt, schedule = Loaded(Weights.find(chosen.shipped)), chosen.schedule
    assert chosen.image_encoder is not None
    assert schedule is not None
    text = text_and_image_encoders.text_encoder(chosen, learnt)
    image = text_and_image_encoders.image_encoder(chosen.image_encoder, learnt, torch.float32)
    whole: AutoencoderKLWan = vae.vae(chosen, learnt)
    loop = TorchLoop(causal_transformer.transformer(chosen, learnt), schedule)
    tokenizer = load("tokenizer", "tokenize_prompt").PromptTokenizer(REPOSITORY / "tokenizer" / "1")
    ids, mask = (torch.from_numpy(each) for each in tokenizer(PROMPT))
    times: dict[str, float] = {}

    def encode() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return text(ids, mask), image(pixels), whole.encode(pixels.unsqueeze(2)).latent_dist.mean

    with torch.inference_mode():
        prompt, tokens, latent = encode()
        loop.video(prompt, tokens, latent, 1 + schedule.block_latents)
        whole.decode(latent)
        with timed(times, "encoders"):
            encode()
        with timed(times, "transformer"):
            latents = loop.video(prompt, tokens, latent, schedule.max_latents)
        with timed(times, "VAE decode"):
            whole.decode(latents)
    return times


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_models", description=__doc__)
    parser.add_argument("--profile", default="nano")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rows, spans = measure(options.profile, options.threads)
    print(f"{options.profile}: 81 frames, {HEIGHT}x{WIDTH}, {options.threads} threads; seconds")
    print(f"{'':32}{'exported':>10}{'torch':>10}{'ratio':>8}")
    for row in rows:
        compared = "" if row.torch_s is None else f"{row.torch_s:10.2f}{row.ratio:8.1f}"
        print(f"{row.stage:32}{row.exported_s:10.2f}{compared}")
    print("\nwhen each block is made (=) and decoded (#):")
    for line in trace(spans):
        print(line)
    print(f"while blocks after the first are made, the decoder works {share_overlapped(spans):.0%} of the time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
