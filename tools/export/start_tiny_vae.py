"""How the untrained tiny decoder starts: as `start_vae` does it, so that it shows what the untrained VAE shows.

Nothing here is learned by training. One linear fit finds the colours in a latent pixel; a few weights set by hand pass
them up through the levels, blurred, and halfway between frames in time. All other branches stay random, and faint.
"""

import torch
from diffusers import AutoencoderKLWan
from torch import nn

from tools.export import start_vae

COLOURS = start_vae.COLOURS
"""Channels that carry the colours, in [0, 1]."""

BEFORE = slice(COLOURS, 2 * COLOURS)
"""Channels that carry those of the frame before, where it is wanted, and nothing elsewhere."""

TEXTURE = 0.005
"""How loud random branches are beside the colours, in each of nine blocks."""

STRAY = 0.5
"""How far the latents of the fit lie from those of pictures, for those that are made will too."""


def carry_picture(tiny: nn.Sequential, vae: AutoencoderKLWan, seed: int) -> None:
    """Makes the decoder show the colours that `vae` decodes latents to."""
    weight, bias = colours_of_latents(vae, seed)
    with torch.no_grad():
        layers = list(tiny)
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        into, *between, out = convolutions
        only(into, COLOURS, weight)
        into.bias[:COLOURS] = bias
        into.bias[BEFORE] = 0
        blocks = [layer for layer in layers if hasattr(layer, "conv") and isinstance(layer.conv, nn.Sequential)]
        for block in blocks:
            block.conv[-1].weight *= TEXTURE
            block.conv[-1].weight[BEFORE] = 0
            block.conv[-1].bias.zero_()
        growing = [layer for layer in layers if hasattr(layer, "conv") and isinstance(layer.conv, nn.Conv2d)]
        for grow, last in zip(growing, blocks[2::3], strict=True):
            grow_colours(grow.conv, last)
        for conv in between:
            only(conv, COLOURS, torch.eye(COLOURS), blurred=True)
        only(out, COLOURS, torch.eye(COLOURS))
        out.bias.zero_()


def only(conv: nn.Conv2d, rows: int, matrix: torch.Tensor, *, blurred: bool = False) -> None:
    """The first channels that come out are `matrix` (rows, channels) of the first that go in, and little else.

    So they come from one pixel, or from its neighbours too if `blurred`.
    """
    conv.weight[:rows] *= TEXTURE
    conv.weight[:rows, : matrix.shape[1]] = 0
    tent = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = torch.outer(tent, tent) if blurred else nn.functional.pad(torch.ones(1, 1), (1, 1, 1, 1))
    conv.weight[BEFORE] = 0
    conv.weight[:rows, : matrix.shape[1]] = matrix[:, :, None, None] * kernel


def grow_colours(grow: nn.Conv2d, block: nn.Module) -> None:
    """Of the two frames that one becomes, the first lies halfway to the one before, which `block` hands on.

    Where one stays one, it stays as it is.
    """
    width, frames = grow.in_channels, grow.out_channels // grow.in_channels
    for frame in range(frames):
        rows = grow.weight[frame * width : frame * width + COLOURS, :, 0, 0]
        rows.zero_()
        halfway = 0.5 if frame + 1 < frames else 0.0
        rows[:, :COLOURS] = (1 - halfway) * torch.eye(COLOURS)
        rows[:, BEFORE] = halfway * torch.eye(COLOURS)
    if frames > 1:
        source = width  # the first convolution sees frames beside those before them, and takes the latter's colours
        for conv in (each for each in block.conv if isinstance(each, nn.Conv2d)):
            conv.weight[BEFORE] = 0
            conv.bias[BEFORE] = 0
            conv.weight[BEFORE, source : source + COLOURS, 1, 1] = torch.eye(COLOURS)
            source = COLOURS


def colours_of_latents(vae: AutoencoderKLWan, seed: int, pictures: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """The linear map from clamped latents to the mean colours in [0, 1] of their 8 x 8 pixels: (3, C) and (3,).

    By least squares over latents about those of smooth random pictures.
    """
    generator = torch.Generator().manual_seed(seed)
    mean, std = (torch.tensor(each).view(1, -1, 1, 1, 1) for each in (vae.config.latents_mean, vae.config.latents_std))
    coarse = torch.rand(pictures, 3, 4, 4, generator=generator) * 2 - 1
    smooth = nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(-1, 1)
    with torch.no_grad():
        latents = (vae.encode(smooth.unsqueeze(2)).latent_dist.mean - mean) / std  # (N, C, 1, h, w)
        stray = torch.randn(pictures, latents.shape[1], 4, 4, generator=generator)
        latents += STRAY * nn.functional.interpolate(stray, latents.shape[3:], mode="bicubic").unsqueeze(2)
        shown = vae.decode((latents * std + mean).repeat(1, 1, 2, 1, 1)).sample[
            :, :, -1
        ]  # standing still: (N, 3, 8h, 8w)
    seen = (torch.tanh(latents / 3) * 3).transpose(0, 1).flatten(1)  # (C, samples)
    wanted = (nn.functional.avg_pool2d(shown, 8) / 2 + 0.5).transpose(0, 1).flatten(1)  # (3, samples)
    known = torch.cat((seen, torch.ones(1, seen.shape[1])))
    solution = torch.linalg.lstsq(known.T.double(), wanted.T.double()).solution.T.float()  # (3, C + 1)
    return solution[:, :-1], solution[:, -1]
