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

from tools.export.vae_decoder_frames import LOOK_BACK, FeatureCache, as_volume, causal, normalised, residual


def encode(encoder: WanEncoder3d, pixels: torch.Tensor, cache: FeatureCache) -> torch.Tensor:
    """The clip's next frames, patched, 1 of its first and then 4, (T, ..), to what quant_conv takes, (1, 2 C, h, w).

    The new cache is afterwards in `cache.new`, in the order of use.
    """
    x = causal(encoder.conv_in, pixels, cache)
    for layer in encoder.down_blocks:
        x = STEPS[type(layer)](layer, x, cache)
    middle = encoder.mid_block
    x = residual(middle.resnets[0], x, cache)
    for attention, block in zip(middle.attentions, middle.resnets[1:], strict=True):
        x = residual(block, attention(x.unsqueeze(2)).squeeze(2), cache)  # here one frame is left
    return causal(encoder.conv_out, functional.silu(normalised(encoder.norm_out, x)), cache)


def level(block: WanResidualDownBlock, x: torch.Tensor, cache: FeatureCache) -> torch.Tensor:
    """WanResidualDownBlock on (T, c, y, x)."""
    before = x
    for resnet in block.resnets:
        x = residual(resnet, x, cache)
    if block.downsampler is not None:
        x = downsampled(block.downsampler, x, cache)
    return x + block.avg_shortcut(as_volume(before))[0].transpose(0, 1)


def downsampled(resample: WanResample, x: torch.Tensor, cache: FeatureCache) -> torch.Tensor:
    """WanResample: half the sides, then half the frames, except of the clip's first, (T, c, 2y, 2x) -> (.., y, x)."""
    x = resample.resample(x)
    if resample.mode != "downsample3d":
        return x
    first = cache.empty
    both = cache.extended(x)
    if first:  # in time it begins with the second latent frame
        return x
    conv, last = resample.time_conv, both[LOOK_BACK - 1 :]  # looks back one frame, (T + 1, c, y, x)
    three = torch.cat([last[shift : shift + x.shape[0] - 1 : 2] for shift in range(3)], dim=1)  # (T / 2, 3 c, y, x)
    return functional.conv2d(three, conv.weight.transpose(1, 2).flatten(1, 2), conv.bias)


STEPS = {WanResidualBlock: residual, WanResidualDownBlock: level, WanResample: downsampled}
"""How each kind of layer of the encoder is computed here."""
