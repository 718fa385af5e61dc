"""The memory plan: how much GPU and host memory a profile's models need, before anything is exported.

Weights and caches are counted; the activations of a forward are estimated from its largest tensors, and a CUDA context
is counted for every process that has one, because each of our models is a process.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from tools.export import text_and_image_encoders, tiny_vae, vae, wan_transformer
from tools.export.graph import DTYPES
from tools.export.module_weights import MetaWeights, ModuleWeights
from tools.export.profile import Device, Precision, Profile

CONTEXT_BYTES = 500 << 20
"""Bytes that a process needs to use a GPU at all."""

TRANSFORMER_LIVE = 10
"""Tensors as wide as the residual stream, in fp32, that a forward holds at once, besides two of the feed-forward."""

DECODER_LIVE = 4
"""Tensors at full size, six frames deep (four new, two cached), that the VAE holds at once in its last level."""


@dataclass(frozen=True)
class Item:
    """One use of memory."""

    model: str
    what: str
    device: Device
    size: int
    """Bytes."""
    phase: Literal["", "encode", "generate"] = ""
    """When it is needed; empty: always. The phase that needs most counts: a job is in one at a time."""


@dataclass(frozen=True)
class MemoryPlan:
    """All uses of memory when one server runs a profile at a size."""

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
    module_weights = MetaWeights()

    def weights(module: torch.nn.Module, precision: Precision) -> int:
        numbers: int = sum(each.numel() for each in module.parameters())
        return numbers * int(DTYPES[precision].itemsize)

    text_encoder = text_and_image_encoders.text_encoder(profile, module_weights)
    text = weights(text_encoder, engine.text_precision)
    if engine.text_precision == "fp16":
        text += sum(
            2 * each.numel()
            for name, each in text_encoder.named_parameters()
            if text_and_image_encoders.stays_fp32(name)
        )
    yield Item("text_encoder", "weights", engine.text_device, text, "encode" if engine.text_on_demand else "")
    if profile.image_encoder is not None:
        image = text_and_image_encoders.image_encoder(
            profile.image_encoder, module_weights, DTYPES[engine.picture_precision]
        )
        yield Item("image_encoder", "weights", engine.device, weights(image, engine.picture_precision))
    yield from _transformer(profile, module_weights, latent)
    full = weights(vae.vae(profile, module_weights), engine.picture_precision)
    pixels = width * height * DTYPES[engine.picture_precision].itemsize
    widest = DECODER_LIVE * 6 * profile.vae.base_width * pixels
    ways = 1 if profile.sampler is None else 2
    yield Item("vae_encoder", "weights, once a graph", engine.device, ways * full // 2)
    if encoder_cache := 2 * vae.encoder_cache_bytes(profile, *latent):
        yield Item("vae_encoder", "feature cache, old and new", engine.device, encoder_cache, "encode")
    yield Item("vae_encoder", "activations (estimate)", engine.device, widest, "encode")
    yield Item("vae_decoder", "weights, once a graph", engine.device, full)
    caches = (engine.clips + 1) * vae.cache_bytes(profile, *latent)
    yield Item("vae_decoder", f"feature caches of {engine.clips} clips and a new one", engine.device, caches)
    yield Item("vae_decoder", "activations (estimate)", engine.device, widest, "generate")
    if profile.tiny_vae is not None:
        small = weights(tiny_vae.tiny_vae(profile, module_weights), engine.picture_precision)
        caches = (engine.clips + 1) * tiny_vae.cache_bytes(profile, *latent)
        yield Item("vae_decoder_tiny", "weights, once a graph", engine.device, 2 * small)
        yield Item("vae_decoder_tiny", f"feature caches of {engine.clips} clips and a new one", engine.device, caches)
    for device, processes in (
        (engine.device, 4 + (profile.image_encoder is not None) + (profile.tiny_vae is not None)),
        (engine.text_device, 1),
    ):
        if device == "gpu":
            yield Item("all", f"CUDA contexts ({processes})", device, processes * CONTEXT_BYTES)


def _transformer(profile: Profile, module_weights: ModuleWeights, latent: tuple[int, int]) -> Iterator[Item]:
    engine, size = profile.engine, profile.transformer
    wide, itemsize = size.heads * size.head_width, DTYPES[engine.precision].itemsize
    count = sum(each.numel() for each in wan_transformer.transformer(profile, module_weights).parameters())
    yield Item("transformer", "weights", engine.device, count * itemsize)
    tokens = latent[0] * latent[1] // 4
    pairs, branches, together = 2 * size.layers * wide * itemsize, 1, profile.max_latents
    if profile.schedule is not None:
        kept = engine.slots * pairs * profile.schedule.cache_latents * tokens
        name = f"KV cache: {engine.slots} slots of {profile.schedule.cache_latents} latent frames"
        # With the text encoder on demand the cache is released too: both use the same memory.
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
    activations = together * tokens * (TRANSFORMER_LIVE * wide * 4 + 2 * size.feed_forward * itemsize)
    yield Item("transformer", "activations (estimate)", engine.device, activations, "generate")
