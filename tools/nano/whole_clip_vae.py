"""The VAE over whole clips and many at once, for training: the sums of the library's modules, as convolutions over
pictures whose channels are three frames one after another, which are several times faster on a CPU than volumes.

`vae_decoder_frames` has the same for one latent frame at a time, as it is exported. Tests compare both with the
library.
"""

from typing import TypeAlias

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanCausalConv3d,
    WanMidBlock,
    WanResample,
    WanResidualBlock,
    WanRMS_norm,
    patchify,
    unpatchify,
)
from torch.nn import functional

Clips: TypeAlias = torch.Tensor
"""(clips, frames, channels, height, width)."""


def each_frame(layer: torch.nn.Module, x: Clips) -> Clips:
    """A layer over pictures, on every frame of every clip."""
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def causal(conv: WanCausalConv3d, x: Clips, stride: int = 1) -> Clips:
    """A causal convolution over three frames; before a clip there are zeros."""
    margin = conv.kernel_size[1] // 2
    if x.shape[1] == 1:
        weight, frames = conv.weight[:, :, 2], x
    else:
        before = torch.cat((torch.zeros_like(x[:, :2]), x), dim=1) if stride == 1 else x
        count = before.shape[1] - 2
        frames = torch.cat([before[:, shift : shift + count : stride] for shift in range(3)], dim=2)
        weight = conv.weight.transpose(1, 2).flatten(1, 2)
    y = functional.conv2d(frames.flatten(0, 1), weight, conv.bias, padding=margin)
    return y.unflatten(0, frames.shape[:2])


def normalised(norm: WanRMS_norm, x: Clips) -> Clips:
    """WanRMS_norm over channels."""
    return functional.normalize(x, dim=2) * (norm.scale * norm.gamma.view(-1, 1, 1))


def residual(block: WanResidualBlock, x: Clips) -> Clips:
    """WanResidualBlock."""
    shortcut = x
    if isinstance(block.conv_shortcut, WanCausalConv3d):
        conv = block.conv_shortcut
        shortcut = functional.conv2d(x.flatten(0, 1), conv.weight[:, :, 0], conv.bias).unflatten(0, x.shape[:2])
    x = causal(block.conv1, functional.silu(normalised(block.norm1, x)))
    return causal(block.conv2, functional.silu(normalised(block.norm2, x))) + shortcut


def middle(block: WanMidBlock, x: Clips) -> Clips:
    """WanMidBlock."""
    x = residual(block.resnets[0], x)
    for attention, resnet in zip(block.attentions, block.resnets[1:], strict=True):
        x = residual(resnet, attention(x.transpose(1, 2)).transpose(1, 2))
    return x


def down(resample: WanResample, x: Clips) -> Clips:
    """WanResample: half the sides; then half the frames, but the first stays alone."""
    x = each_frame(resample.resample, x)
    if resample.mode == "downsample3d" and x.shape[1] > 1:
        x = torch.cat((x[:, :1], causal(resample.time_conv, x, stride=2)), dim=1)
    return x


def up(resample: WanResample, x: Clips) -> Clips:
    """WanResample: twice the frames but the first; then twice the sides."""
    if resample.mode == "upsample3d" and x.shape[1] > 1:
        # From the second frame on it starts with zeros: it does not use the first frame.
        pairs = causal_from_nothing(resample.time_conv, x[:, 1:])  # (clips, frames - 1, 2 c, y, x)
        x = torch.cat((x[:, :1], pairs.unflatten(2, (2, -1)).flatten(1, 2)), dim=1)
    return each_frame(resample.resample, x)


def causal_from_nothing(conv: WanCausalConv3d, x: Clips) -> Clips:
    """`causal`, which a single frame takes by its last weights alone."""
    return causal(conv, x)


def half(x: Clips, shortcut: torch.nn.Module) -> Clips:
    """AvgDown3D: the first frame alone, for in time there is nothing before it."""
    first = shortcut(x[:, :1].transpose(1, 2))
    rest = [shortcut(x[:, 1:].transpose(1, 2))] if x.shape[1] > 1 else []
    return torch.cat([first, *rest], dim=2).transpose(1, 2)


def encode(vae: AutoencoderKLWan, clips: Clips) -> Clips:
    """Clips of 1 + 4k frames, RGB in [-1, 1], to the means of their latents (clips, 1 + k, C, h, w)."""
    x = (
        clips
        if vae.config.patch_size is None
        else patchify(clips.transpose(1, 2), vae.config.patch_size).transpose(1, 2)
    )
    encoder = vae.encoder
    x = causal(encoder.conv_in, x)
    for block in encoder.down_blocks:
        before = x
        for resnet in block.resnets:
            x = residual(resnet, x)
        if block.downsampler is not None:
            x = down(block.downsampler, x)
        x = x + half(before, block.avg_shortcut)
    x = middle(encoder.mid_block, x)
    x = causal(encoder.conv_out, functional.silu(normalised(encoder.norm_out, x)))
    return vae.quant_conv(x.transpose(1, 2)).transpose(1, 2).chunk(2, dim=2)[0]


def decode(vae: AutoencoderKLWan, latents: Clips) -> Clips:
    """Latents (clips, 1 + k, C, h, w) to clips of 1 + 4k frames, not clamped."""
    x = vae.post_quant_conv(latents.transpose(1, 2)).transpose(1, 2)
    decoder = vae.decoder
    x = middle(decoder.mid_block, causal(decoder.conv_in, x))
    for block in decoder.up_blocks:
        before = x
        for resnet in block.resnets:
            x = residual(resnet, x)
        if block.upsampler is not None:
            x = up(block.upsampler, x)
        if block.avg_shortcut is not None:
            x = x + block.avg_shortcut(before.transpose(1, 2), first_chunk=True).transpose(1, 2)
    x = causal(decoder.conv_out, functional.silu(normalised(decoder.norm_out, x)))
    return x if vae.config.patch_size is None else unpatchify(x.transpose(1, 2), vae.config.patch_size).transpose(1, 2)
