"""The VAE: AutoencoderKLWan as graphs of one latent frame each, with the feature caches as inputs and outputs.

The decoder takes one latent frame at a time. The first of a clip makes 1 frame and starts the cache; each later one
makes 4 and updates it: two graphs, because their computations differ. The cache of each causal convolution is its last
two input frames; before the first frame they are zeros, like its padding, so one shape is enough.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from diffusers import AutoencoderKLWan

from tools.export import decoder_graphs, vae_decoder_frames, vae_encoder_frames
from tools.export import profile as profiles
from tools.export.graph import DTYPES, Graph
from tools.export.module_weights import MetaWeights, ModuleWeights
from tools.export.profile import Profile


class Normalised(torch.nn.Module):  # type: ignore[misc]
    """A part of the VAE, for normalised latents: (z - mean) / std per channel."""

    latents_mean: torch.Tensor
    latents_std: torch.Tensor

    def __init__(self, vae: AutoencoderKLWan) -> None:
        super().__init__()
        self.vae = vae
        self.dtype = next(vae.parameters()).dtype
        self.register_buffer("latents_mean", torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1))
        self.register_buffer("latents_std", torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1))


class Encoder(Normalised):
    """The normalised mean of one latent frame, by the library's modules with time in the batch."""

    def encoded(self, pixels: torch.Tensor, cache: vae_decoder_frames.FeatureCache) -> torch.Tensor:
        """The common part of the two graphs below."""
        patched = vae_decoder_frames.patched(pixels.to(self.dtype), self.vae.config.patch_size)
        x = vae_encoder_frames.encode(self.vae.encoder, patched, cache)
        mean: torch.Tensor = self.vae.quant_conv(x.unsqueeze(2)).chunk(2, dim=1)[0].float()
        return (mean - self.latents_mean) / self.latents_std


class FirstEncoder(Encoder):
    """The first latent frame of a clip: a picture's."""

    def __init__(self, vae: AutoencoderKLWan, *, alone: bool) -> None:
        """`alone`: no other frame follows, so the graph has no cache."""
        super().__init__(vae)
        self.alone = alone

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """FP32 (1, 3, 8h, 8w) in [-1, 1] -> latent FP32 (1, C, 1, h, w), then each cache (2, c, y, x) as the VAE is."""
        cache = vae_decoder_frames.FeatureCache(None)
        latent = self.encoded(pixels, cache)
        return (latent,) if self.alone else (latent, *cache.new)


class NextEncoder(Encoder):
    """Every later latent frame of a clip."""

    def forward(self, pixels: torch.Tensor, caches: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """As FirstEncoder, but takes four frames (4, 3, 8h, 8w), and the caches too."""
        cache = vae_decoder_frames.FeatureCache(caches)
        return self.encoded(pixels, cache), *cache.new


class Decoder(Normalised):
    """Frames of one latent frame, by the library's modules with time in the batch."""

    def decoded(self, latent: torch.Tensor, caches: Sequence[torch.Tensor] | None) -> tuple[torch.Tensor, ...]:
        """The common part of the two graphs below."""
        cache = vae_decoder_frames.FeatureCache(caches)
        x = self.vae.post_quant_conv((latent * self.latents_std + self.latents_mean).to(self.dtype)).squeeze(2)
        frames = vae_decoder_frames.decode(self.vae.decoder, x, cache)
        return decoder_graphs.as_pixels(vae_decoder_frames.unpatched(frames, self.vae.config.patch_size)), *cache.new


class FirstDecoder(Decoder):
    """The first latent frame of a clip."""

    def forward(self, latent: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """FP32 (1, C, 1, h, w) -> frames UINT8 (1, 8h, 8w, 3), then each cache (2, c, y, x) in the VAE's precision."""
        return self.decoded(latent, None)


class NextDecoder(Decoder):
    """Every later latent frame of a clip."""

    def forward(self, latent: torch.Tensor, caches: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """As FirstDecoder, but takes the caches too, and makes 4 frames (4, 8h, 8w, 3)."""
        return self.decoded(latent, caches)


def cache_shapes(profile: Profile, height: int, width: int) -> list[tuple[int, ...]]:
    """Shapes of the tensors of one clip's feature cache, for latents of this size."""
    with torch.device("meta"), torch.no_grad():
        first = FirstDecoder(vae(profile, MetaWeights()))
        _, *caches = first(torch.empty(1, profile.vae.channels, 1, height, width))
    return [tuple(each.shape) for each in caches]


def cache_bytes(profile: Profile, height: int, width: int) -> int:
    """Bytes of the decoder's feature cache of one clip, for latents of this size."""
    return decoder_graphs.total_bytes(cache_shapes(profile, height, width), profile.engine.picture_precision)


def encoder_cache_bytes(profile: Profile, height: int, width: int) -> int:
    """Bytes of the encoder's feature cache of one clip, for latents of this size; 0 for a picture alone."""
    if profile.pipeline != "bidirectional":
        return 0
    with torch.device("meta"), torch.no_grad():
        _, *caches = FirstEncoder(vae(profile, MetaWeights()), alone=False)(torch.empty(1, 3, 8 * height, 8 * width))
    return decoder_graphs.total_bytes([each.shape for each in caches], profile.engine.picture_precision)


def vae(profile: Profile, module_weights: ModuleWeights) -> AutoencoderKLWan:
    """The profile's VAE."""
    return module_weights.module("vae", lambda: fresh(profile.vae), dtype=DTYPES[profile.engine.picture_precision])


def fresh(size: profiles.Vae) -> AutoencoderKLWan:
    """A VAE of this size, as the library starts it; latents are normalised by the published statistics."""
    colours = 3 * size.patch**2
    return AutoencoderKLWan(
        base_dim=size.base_width,
        z_dim=size.channels,
        dim_mult=list(size.multiples),
        num_res_blocks=size.blocks,
        temperal_downsample=[False] * (len(size.multiples) - 3) + [True, True],
        is_residual=size.residual,
        patch_size=size.patch if size.patch > 1 else None,
        in_channels=colours,
        out_channels=colours,
        scale_factor_spatial=8,
        scale_factor_temporal=4,
    )


def graphs(profile: Profile, module_weights: ModuleWeights) -> Iterator[Graph]:
    """The encoder's graphs, and the decoder's."""
    made = vae(profile, module_weights)
    yield from encoder_graphs(profile, made)
    yield from decoder_graphs.decoder_graphs(
        profile,
        "vae_decoder",
        FirstDecoder(made),
        NextDecoder(made),
        caches=len(cache_shapes(profile, *decoder_graphs.LATENT_SIZES[0])),
    )


def encoder_graphs(profile: Profile, made: AutoencoderKLWan) -> Iterator[Graph]:
    """The encoder's graph of a picture and, where videos are conditioned on a whole clip, that of what follows it."""
    alone, precision = profile.pipeline != "bidirectional", profile.engine.picture_precision
    first = FirstEncoder(made, alone=alone)

    def pixels(frames: int, height: int, width: int) -> torch.Tensor:
        return torch.rand(frames, 3, 8 * height, 8 * width) * 2 - 1

    def after_first(height: int, width: int) -> dict[str, Any]:
        with torch.no_grad():
            _, *cache = first(pixels(1, height, width))
        return {"pixels": pixels(4, height, width), "caches": cache}

    later = [] if alone else [after_first(*size) for size in decoder_graphs.LATENT_SIZES]
    caches = [f"cache_{index}" for index in range(len(later[0]["caches"]) if later else 0)]
    yield Graph(
        file="vae_encoder/1/first.onnx",
        module=first,
        examples=[{"pixels": pixels(1, *size)} for size in decoder_graphs.LATENT_SIZES],
        inputs=["pixels"],
        outputs=["latent", *(f"new_{name}" for name in caches)],
        dynamic={"pixels": (2, 3)},
        precision=precision,
        optimize=False,
    )
    if later:
        yield Graph(
            file="vae_encoder/1/next.onnx",
            module=NextEncoder(made),
            examples=later,
            inputs=["pixels", *caches],
            outputs=["latent", *(f"new_{name}" for name in caches)],
            dynamic={"pixels": (2, 3), "caches": (2, 3)},
            precision=precision,
            optimize=False,
        )
