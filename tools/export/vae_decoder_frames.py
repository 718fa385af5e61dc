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

SEEN = 2
"""Frames that a causal convolution looks back."""


class Memory:
    """What the convolutions remember of a clip, each the last two frames that it saw: (2, c, y, x), in their order.

    Before a clip's first latent frame there is nothing; what the library pads with then are zeros.
    """

    def __init__(self, seen: Sequence[torch.Tensor] | None) -> None:
        self._seen: Iterator[torch.Tensor] | None = None if seen is None else iter(seen)
        self.new: list[torch.Tensor] = []

    @property
    def empty(self) -> bool:
        """Whether this is the clip's first latent frame."""
        return self._seen is None

    def extended(self, x: torch.Tensor) -> torch.Tensor:
        """Frames (T, c, y, x) with the two before them in front, (T + 2, c, y, x); the last two are remembered."""
        before = x.new_zeros(SEEN, *x.shape[1:]) if self._seen is None else next(self._seen)
        both = torch.cat((before, x))
        self.new.append(both[-SEEN:])
        return both


def decode(decoder: WanDecoder3d, latent: torch.Tensor, memory: Memory) -> torch.Tensor:
    """One latent frame (1, C, h, w), after post_quant_conv, to patched frames (F, ..): 1 for a clip's first, then 4.

    What is remembered is afterwards in `memory.new`, in the order in which it is asked for.
    """
    x = causal(decoder.conv_in, latent, memory)
    middle = decoder.mid_block
    x = residual(middle.resnets[0], x, memory)
    for attention, block in zip(middle.attentions, middle.resnets[1:], strict=True):
        x = residual(block, attention(x.unsqueeze(2)).squeeze(2), memory)  # here a frame is still alone
    for up in decoder.up_blocks:
        before = x
        for block in up.resnets:
            x = residual(block, x, memory)
        for resample in upsamplers(up):
            x = upsampled(resample, x, memory)
        if isinstance(up, WanResidualUpBlock) and up.avg_shortcut is not None:
            x = x + up.avg_shortcut(as_volume(before), first_chunk=memory.empty)[0].transpose(0, 1)
    return causal(decoder.conv_out, functional.silu(normalised(decoder.norm_out, x)), memory)


def upsamplers(up: WanUpBlock | WanResidualUpBlock) -> Sequence[WanResample]:
    """What a level doubles the sides with, if it does."""
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


def residual(block: WanResidualBlock, x: torch.Tensor, memory: Memory) -> torch.Tensor:
    """WanResidualBlock on (T, c, y, x)."""
    shortcut = x
    if isinstance(block.conv_shortcut, WanCausalConv3d):
        shortcut = functional.conv2d(x, block.conv_shortcut.weight[:, :, 0], block.conv_shortcut.bias)
    x = causal(block.conv1, functional.silu(normalised(block.norm1, x)), memory)
    return causal(block.conv2, functional.silu(normalised(block.norm2, x)), memory) + shortcut


def upsampled(resample: WanResample, x: torch.Tensor, memory: Memory) -> torch.Tensor:
    """WanResample: twice the frames, except of the clip's first, then twice the sides, (T, c, y, x) -> (.., 2y, 2x)."""
    if resample.mode == "upsample3d":
        if memory.empty:
            memory.extended(torch.zeros_like(x))  # in time it begins with the second latent frame, from nothing
        else:
            pairs = causal(resample.time_conv, x, memory)  # (T, 2 c, y, x)
            x = pairs.reshape(2 * x.shape[0], *x.shape[1:])
    return resample.resample[1](functional.interpolate(x, scale_factor=2.0, mode="nearest"))


def causal(conv: WanCausalConv3d, x: torch.Tensor, memory: Memory) -> torch.Tensor:
    """WanCausalConv3d on (T, c, y, x), three frames deep."""
    both, margin = memory.extended(x), conv.kernel_size[1] // 2
    if memory.empty:  # two of the three frames are zeros
        return functional.conv2d(x, conv.weight[:, :, SEEN], conv.bias, padding=margin)
    count = x.shape[0]
    three = torch.cat([both[shift : shift + count] for shift in range(SEEN + 1)], dim=1)  # (T, 3 c, y, x)
    weight = conv.weight.transpose(1, 2).flatten(1, 2)  # (c', 3 c, k, k)
    return functional.conv2d(three, weight, conv.bias, padding=margin)


def normalised(norm: WanRMS_norm, x: torch.Tensor) -> torch.Tensor:
    """WanRMS_norm over channels, its mean square in fp32."""
    length = torch.linalg.vector_norm(x.float(), dim=1, keepdim=True).clamp(min=1e-12)
    return (x.float() * (1 / length)).to(x.dtype) * (norm.scale * norm.gamma.view(-1, 1, 1))
