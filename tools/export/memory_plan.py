"""The memory plan: what a profile's models take of the GPU and of the host, before anything is exported.

Weights and caches are counted; what a forward needs in passing is estimated from its largest tensors, and a CUDA
context is charged to every process that has one, for each model of ours is a process of its own.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from tools.export import causal_transformer, text_and_image_encoders, tiny_vae, vae
from tools.export.graph import DTYPES
from tools.export.module_weights import ModuleWeights, Unfilled
from tools.export.profile_file import Device, Precision, Profile

CONTEXT_BYTES = 500 << 20
"""What a process takes of a GPU by merely using it."""

TRANSFORMER_LIVE = 10
"""Tensors as wide as the residual stream, in fp32, that a forward holds at once, beside two of the feed-forward."""

DECODER_LIVE = 4
"""Tensors at full size, six frames deep (four new, two remembered), that the VAE holds at once in its last level."""


@dataclass(frozen=True)
class Item:
    """One thing that takes memory."""

    model: str
    what: str
    device: Device
    size: int
    """Bytes."""
    phase: Literal["", "encode", "generate"] = ""
    """When it is needed; empty: always. Of the phases, the one that takes most counts: a job is in one at a time."""


@dataclass(frozen=True)
class MemoryPlan:
    """Everything that takes memory when one server runs a profile at a size."""

    width: int
    height: int
    items: tuple[Item, ...]

    def total(self, device: Device) -> int:
        """Bytes that the device must have."""
        phases = Counter[str]()
        for item in self.items:
            if item.device == device:
                phases[item.phase] += item.size
        return phases.pop("", 0) + max(phases.values(), default=0)

    @property
    def totals(self) -> dict[Device, int]:
        """Bytes of either device."""
        return {"gpu": self.total("gpu"), "cpu": self.total("cpu")}

    def lines(self) -> Iterator[str]:
        """The plan as a table."""
        yield f"memory at {self.width}x{self.height}:"
        for item in self.items:
            note = f"  to {item.phase}" if item.phase else ""
            yield f"  {item.device:4}{item.model:18}{item.what:44}{item.size / 1e9:8.2f} GB{note}"
        for device, total in self.totals.items():
            if total:
                yield f"  {device:4}{'in all':62}{total / 1e9:8.2f} GB"


def memory_plan(profile: Profile) -> MemoryPlan:
    """The plan for the largest size of the profile's card."""
    width, height = max(profile.sizes, key=lambda size: size[0] * size[1])
    return MemoryPlan(width, height, tuple(_items(profile, width, height)))


def _items(profile: Profile, width: int, height: int) -> Iterator[Item]:
    engine, latent = profile.engine, (height // 8, width // 8)
    filling = Unfilled()

    def weights(module: torch.nn.Module, precision: Precision) -> int:
        numbers: int = sum(each.numel() for each in module.parameters())
        return numbers * int(DTYPES[precision].itemsize)

    text_encoder = text_and_image_encoders.text_encoder(profile, filling)
    text = weights(text_encoder, engine.text_precision)
    if engine.text_precision == "fp16":
        text += sum(
            2 * each.numel()
            for name, each in text_encoder.named_parameters()
            if text_and_image_encoders.kept_whole(name)
        )
    yield Item("text_encoder", "weights", engine.text_device, text, "encode" if engine.text_on_demand else "")
    if profile.image_encoder is not None:
        image = text_and_image_encoders.image_encoder(profile.image_encoder, filling, DTYPES[engine.picture_precision])
        yield Item("image_encoder", "weights", engine.device, weights(image, engine.picture_precision))
    yield from _transformer(profile, filling, latent)
    full = weights(vae.vae(profile, filling), engine.picture_precision)
    pixels = width * height * DTYPES[engine.picture_precision].itemsize
    widest = DECODER_LIVE * 6 * profile.vae.base_width * pixels
    ways = 1 if profile.sampler is None else 2
    yield Item("vae_encoder", "weights, once a graph", engine.device, ways * full // 2)
    if remembered := 2 * vae.encoder_cache_bytes(profile, *latent):
        yield Item("vae_encoder", "feature cache, old and new", engine.device, remembered, "encode")
    yield Item("vae_encoder", "activations (estimate)", engine.device, widest, "encode")
    yield Item("vae_decoder", "weights, once a graph", engine.device, full)
    caches = (engine.clips + 1) * vae.cache_bytes(profile, *latent)
    yield Item("vae_decoder", f"feature caches of {engine.clips} clips and a new one", engine.device, caches)
    yield Item("vae_decoder", "activations (estimate)", engine.device, widest, "generate")
    if profile.tiny_vae is not None:
        small = weights(tiny_vae.tiny_vae(profile, filling), engine.picture_precision)
        caches = (engine.clips + 1) * tiny_vae.cache_bytes(profile, *latent)
        yield Item("vae_decoder_tiny", "weights, once a graph", engine.device, 2 * small)
        yield Item("vae_decoder_tiny", f"feature caches of {engine.clips} clips and a new one", engine.device, caches)
    for device, processes in (
        (engine.device, 4 + (profile.image_encoder is not None) + (profile.tiny_vae is not None)),
        (engine.text_device, 1),
    ):
        if device == "gpu":
            yield Item("all", f"CUDA contexts ({processes})", device, processes * CONTEXT_BYTES)


def _transformer(profile: Profile, filling: ModuleWeights, latent: tuple[int, int]) -> Iterator[Item]:
    engine, size = profile.engine, profile.transformer
    wide, itemsize = size.heads * size.head_width, DTYPES[engine.precision].itemsize
    count = sum(each.numel() for each in causal_transformer.transformer(profile, filling).parameters())
    yield Item("transformer", "weights", engine.device, count * itemsize)
    tokens = latent[0] * latent[1] // 4
    pairs, branches, together = 2 * size.layers * wide * itemsize, 1, profile.max_latents
    if profile.schedule is not None:
        kept = engine.slots * pairs * profile.schedule.cache_latents * tokens
        name = f"KV cache: {engine.slots} slots of {profile.schedule.cache_latents} latent frames"
        # Where the text encoder comes and goes, so does the cache: the one needs the room of the other.
        yield Item("transformer", name, engine.device, kept, "generate" if engine.text_on_demand else "")
        together = profile.schedule.block_latents
    elif profile.sampler is not None:
        branches = 2 if profile.sampler.guidance > 1 else 1
        if engine.runtime == "torch":
            scratch = engine.slots * pairs // size.layers * together * tokens
            yield Item("transformer", "keys and values of a forward, one layer's", engine.device, scratch, "generate")
    read = profile.text_encoder.length + (profile.image_encoder.tokens if profile.image_encoder else 0)
    yield Item(
        "transformer", "keys and values of prompts and pictures", engine.device, engine.slots * branches * pairs * read
    )
    passing = together * tokens * (TRANSFORMER_LIVE * wide * 4 + 2 * size.feed_forward * itemsize)
    yield Item("transformer", "activations (estimate)", engine.device, passing, "generate")
