"""The VAE's encoder with time in the batch, as `vae_decoder_frames` has the decoder: convolutions over pictures.

A clip goes in as its first frame alone, then four frames at a time, and each of these makes one latent frame.
"""

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    WanEncoder3d,
    WanResample,
    WanResidualBlock,
    WanResidualDownBlock,
)
from torch.nn import functional

from tools.export.vae_decoder_frames import SEEN, Memory, as_volume, causal, normalised, residual


def encode(encoder: WanEncoder3d, pixels: torch.Tensor, memory: Memory) -> torch.Tensor:
    """The clip's next frames, patched, 1 of its first and then 4, (T, ..), to what quant_conv takes, (1, 2 C, h, w).

    What is remembered is afterwards in `memory.new`, in the order in which it is asked for.
    """
    x = causal(encoder.conv_in, pixels, memory)
    for layer in encoder.down_blocks:
        x = STEPS[type(layer)](layer, x, memory)
    middle = encoder.mid_block
    x = residual(middle.resnets[0], x, memory)
    for attention, block in zip(middle.attentions, middle.resnets[1:], strict=True):
        x = residual(block, attention(x.unsqueeze(2)).squeeze(2), memory)  # here one frame is left
    return causal(encoder.conv_out, functional.silu(normalised(encoder.norm_out, x)), memory)


def level(block: WanResidualDownBlock, x: torch.Tensor, memory: Memory) -> torch.Tensor:
    """WanResidualDownBlock on (T, c, y, x)."""
    before = x
    for resnet in block.resnets:
        x = residual(resnet, x, memory)
    if block.downsampler is not None:
        x = downsampled(block.downsampler, x, memory)
    return x + block.avg_shortcut(as_volume(before))[0].transpose(0, 1)


def downsampled(resample: WanResample, x: torch.Tensor, memory: Memory) -> torch.Tensor:
    """WanResample: half the sides, then half the frames, except of the clip's first, (T, c, 2y, 2x) -> (.., y, x)."""
    x = resample.resample(x)
    if resample.mode != "downsample3d":
        return x
    first = memory.empty
    both = memory.extended(x)
    if first:  # in time it begins with the second latent frame
        return x
    conv, last = resample.time_conv, both[SEEN - 1 :]  # one frame is looked back at, (T + 1, c, y, x)
    three = torch.cat([last[shift : shift + x.shape[0] - 1 : 2] for shift in range(3)], dim=1)  # (T / 2, 3 c, y, x)
    return functional.conv2d(three, conv.weight.transpose(1, 2).flatten(1, 2), conv.bias)


STEPS = {WanResidualBlock: residual, WanResidualDownBlock: level, WanResample: downsampled}
"""How each kind of layer of the encoder is computed here."""
