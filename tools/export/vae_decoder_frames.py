"""The VAE's decoder with time in the batch: what the library's modules compute, made of convolutions over pictures.

A clip comes one latent frame at a time, so a causal convolution over three frames is a convolution over pictures whose
channels are the three frames one after another. The sums are the same; the first latent frame of a clip, before which
there is nothing, costs a third; and runtimes have better code for pictures than for volumes. Weights stay the library's
own tensors.
"""

from collections.abc import Iterator, Sequence

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanCausalConv3d,
    WanDecoder3d,
    WanResample,
    WanResidualBlock,
    WanResidualUpBlock,
    WanRMS_norm,
    WanUpBlock,
    patchify,
    unpatchify,
)
from torch.nn import functional

LOOK_BACK = 2
"""Frames that a causal convolution looks back."""


class FeatureCache:
    """The feature cache of a clip: the last two input frames of each convolution, (2, c, y, x), in the order of use.

    Before a clip's first latent frame it is empty; the library pads with zeros then.
    """

    def __init__(self, cached: Sequence[torch.Tensor] | None) -> None:
        self._cached: Iterator[torch.Tensor] | None = None if cached is None else iter(cached)
        self.new: list[torch.Tensor] = []

    @property
    def empty(self) -> bool:
        """Whether this is the clip's first latent frame."""
        return self._cached is None

    def extended(self, x: torch.Tensor) -> torch.Tensor:
        """Frames (T, c, y, x) with the two before them in front, (T + 2, c, y, x); the last two are cached."""
        before = x.new_zeros(LOOK_BACK, *x.shape[1:]) if self._cached is None else next(self._cached)
        both = torch.cat((before, x))
        self.new.append(both[-LOOK_BACK:])
        return both


def decode(decoder: WanDecoder3d, latent: torch.Tensor, cache: FeatureCache) -> torch.Tensor:
    """One latent frame (1, C, h, w), after post_quant_conv, to patched frames (F, ..): 1 for a clip's first, then 4.

    The new cache is afterwards in `cache.new`, in the order of use.
    """
    x = causal(decoder.conv_in, latent, cache)
    middle = decoder.mid_block
    x = residual(middle.resnets[0], x, cache)
    for attention, block in zip(middle.attentions, middle.resnets[1:], strict=True):
        x = residual(block, attention(x.unsqueeze(2)).squeeze(2), cache)  # here a frame is still alone
    for up in decoder.up_blocks:
        before = x
        for block in up.resnets:
            x = residual(block, x, cache)
        for resample in upsamplers(up):
            x = upsampled(resample, x, cache)
        if isinstance(up, WanResidualUpBlock) and up.avg_shortcut is not None:
            x = x + up.avg_shortcut(as_volume(before), first_chunk=cache.empty)[0].transpose(0, 1)
    return causal(decoder.conv_out, functional.silu(normalised(decoder.norm_out, x)), cache)


def upsamplers(up: WanUpBlock | WanResidualUpBlock) -> Sequence[WanResample]:
    """The layers that double the sides at the end of a level, if any."""
    if isinstance(up, WanResidualUpBlock):
        return () if up.upsampler is None else (up.upsampler,)
    return up.upsamplers or ()


def as_volume(x: torch.Tensor) -> torch.Tensor:
    """(T, c, y, x) as the library has it, (1, c, T, y, x)."""
    return x.transpose(0, 1).unsqueeze(0)


def patched(frames: torch.Tensor, side: int | None) -> torch.Tensor:
    """Squares of pixels as channels, (T, 3, y, x) -> (T, 3 side^2, y / side, x / side), where there are any."""
    return frames if side is None else patchify(as_volume(frames), side)[0].transpose(0, 1)


def unpatched(frames: torch.Tensor, side: int | None) -> torch.Tensor:
    """The inverse of `patched`."""
    return frames if side is None else unpatchify(as_volume(frames), side)[0].transpose(0, 1)


def residual(block: WanResidualBlock, x: torch.Tensor, cache: FeatureCache) -> torch.Tensor:
    """WanResidualBlock on (T, c, y, x)."""
    shortcut = x
    if isinstance(block.conv_shortcut, WanCausalConv3d):
        shortcut = functional.conv2d(x, block.conv_shortcut.weight[:, :, 0], block.conv_shortcut.bias)
    x = causal(block.conv1, functional.silu(normalised(block.norm1, x)), cache)
    return causal(block.conv2, functional.silu(normalised(block.norm2, x)), cache) + shortcut


def upsampled(resample: WanResample, x: torch.Tensor, cache: FeatureCache) -> torch.Tensor:
    """WanResample: twice the frames, except of the clip's first, then twice the sides, (T, c, y, x) -> (.., 2y, 2x)."""
    if resample.mode == "upsample3d":
        if cache.empty:
            cache.extended(torch.zeros_like(x))  # in time it begins with the second latent frame, from nothing
        else:
            pairs = causal(resample.time_conv, x, cache)  # (T, 2 c, y, x)
            x = pairs.reshape(2 * x.shape[0], *x.shape[1:])
    return resample.resample[1](functional.interpolate(x, scale_factor=2.0, mode="nearest"))


def causal(conv: WanCausalConv3d, x: torch.Tensor, cache: FeatureCache) -> torch.Tensor:
    """WanCausalConv3d on (T, c, y, x), three frames deep."""
    both, margin = cache.extended(x), conv.kernel_size[1] // 2
    if cache.empty:  # two of the three frames are zeros
        return functional.conv2d(x, conv.weight[:, :, LOOK_BACK], conv.bias, padding=margin)
    count = x.shape[0]
    three = torch.cat([both[shift : shift + count] for shift in range(LOOK_BACK + 1)], dim=1)  # (T, 3 c, y, x)
    weight = conv.weight.transpose(1, 2).flatten(1, 2)  # (c', 3 c, k, k)
    return functional.conv2d(three, weight, conv.bias, padding=margin)


def normalised(norm: WanRMS_norm, x: torch.Tensor) -> torch.Tensor:
    """WanRMS_norm over channels, its mean square in fp32."""
    length = torch.linalg.vector_norm(x.float(), dim=1, keepdim=True).clamp(min=1e-12)
    return (x.float() * (1 / length)).to(x.dtype) * (norm.scale * norm.gamma.view(-1, 1, 1))
