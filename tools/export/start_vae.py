"""How the untrained VAE starts: random numbers, with a few set by hand so that a picture shows through them.

Nothing here is learned. A fresh network of this depth turns every picture into the same texture; these few weights make
the first latent channels carry the picture's colours at an eighth of its size, and the decoder show them, blurred. The
other channels and all residual branches stay random. Training can begin from here.
"""

import math

import torch
from diffusers import AutoencoderKLWan
from torch import nn

LEVEL = 4.0
"""A constant channel beside colours in [-1, 1], so that normalising over channels hardly changes them."""

COLOURS = 3
CONSTANT = 2 * COLOURS
"""Channels of a stream: the colours, the colours negated, the constant, then whatever is random."""

TEXTURE = 0.1
"""How loud the random residual branches are beside that stream."""


def carry_picture(vae: AutoencoderKLWan) -> None:
    """Makes the VAE's straight path keep the mean colour of each 8 x 8 pixels in its first three latent channels."""
    tent = torch.tensor([1.0, 2.0, 1.0])
    smooth = torch.outer(tent, tent) / 16
    mean = torch.zeros(3, 3)
    mean[:2, :2] = 1 / 4
    with torch.no_grad():
        for part, kernel in ((vae.encoder, mean), (vae.decoder, smooth)):
            for module in part.modules():
                straighten(module, kernel)
            into_stream(part.conv_in)
            out_of_stream(part.conv_out, gain=LEVEL / math.sqrt(part.conv_out.in_channels))
        for conv in (vae.quant_conv, vae.post_quant_conv):
            pass_on(conv, torch.ones(1, 1, 1))


def straighten(module: nn.Module, kernel: torch.Tensor) -> None:
    """Makes one block pass the stream on: random branches faint, resampling by `kernel`."""
    if hasattr(module, "conv_shortcut"):
        module.conv2.weight *= TEXTURE
        if isinstance(module.conv_shortcut, nn.Conv3d):
            pass_on(module.conv_shortcut, torch.ones(1, 1, 1))
    elif hasattr(module, "to_qkv"):
        module.proj.weight *= TEXTURE
    elif hasattr(module, "resample"):
        pass_on(module.resample[1], kernel)
        if module.mode == "upsample3d":
            blend_in_time(module.time_conv)


def pass_on(conv: nn.Conv2d | nn.Conv3d, kernel: torch.Tensor) -> None:
    """Every channel keeps its place and is seen through `kernel`; channels that are new stay random, but faint."""
    conv.weight *= TEXTURE
    conv.bias.zero_()
    for channel in range(min(conv.in_channels, conv.out_channels)):
        conv.weight[channel] = 0
        conv.weight[channel, channel] = kernel


def blend_in_time(conv: nn.Conv3d) -> None:
    """Of the two frames that one becomes, the first lies halfway to the frame before."""
    conv.weight.zero_()
    conv.bias.zero_()
    for channel in range(conv.in_channels):
        conv.weight[channel, channel, 1:, 0, 0] = 0.5
        conv.weight[conv.in_channels + channel, channel, 2, 0, 0] = 1


def into_stream(conv: nn.Conv3d) -> None:
    """Puts the first three channels into the stream, and the constant beside them."""
    conv.weight[: CONSTANT + 1] = 0
    conv.bias.zero_()
    conv.bias[CONSTANT] = LEVEL
    for colour in range(COLOURS):
        conv.weight[colour, colour, -1, 1, 1] = 1
        conv.weight[COLOURS + colour, colour, -1, 1, 1] = -1


def out_of_stream(conv: nn.Conv3d, gain: float) -> None:
    """silu(x) - silu(-x) = x: the pair of channels gives back the colour, straight."""
    conv.weight[:COLOURS] *= TEXTURE
    conv.bias.zero_()
    for colour in range(COLOURS):
        conv.weight[colour, [colour, COLOURS + colour]] = 0
        conv.weight[colour, colour, -1, 1, 1] = gain
        conv.weight[colour, COLOURS + colour, -1, 1, 1] = -gain


def latent_statistics(vae: AutoencoderKLWan, seed: int, pictures: int = 12) -> tuple[list[float], list[float]]:
    """Mean and deviation of each latent channel over smooth random pictures: what latents are normalised with."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(pictures, 3, 4, 4, generator=generator) * 2 - 1
    smooth = nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(-1, 1)
    with torch.no_grad():
        latents = vae.encode(smooth.unsqueeze(2)).latent_dist.mean.transpose(0, 1).flatten(1)  # (C, samples)
    return latents.mean(1).tolist(), latents.std(1).tolist()
