"""The VAE: AutoencoderKLWan as three graphs, with the decoder's feature cache as inputs and outputs.

The decoder takes one latent frame at a time. The first of a clip makes 1 frame and starts the cache; each later one
makes 4 and renews it: two graphs, for the library's code takes two paths. The cache of every causal convolution is the
last two frames that it saw; before the first frame there are zeros, as its padding has it, so one shape serves always.
"""

from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d
from torch.nn import functional

from tools.export import start_vae
from tools.export.profile import Profile


class Normalised(torch.nn.Module):  # type: ignore[misc]
    """A part of the VAE that speaks normalised latents, (z - mean) / std per channel."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, vae: AutoencoderKLWan) -> None:
        super().__init__()
        self.vae = vae
        self.register_buffer("mean", torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1))
        self.register_buffer("std", torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1))


class Encoder(Normalised):
    """A picture's latent: the mean of the posterior."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels FP32 (1, 3, H, W) in [-1, 1] -> latent FP32 (1, C, 1, H/8, W/8)."""
        self.vae.clear_cache()
        x = self.vae.encoder(pixels.unsqueeze(2), feat_cache=self.vae._enc_feat_map, feat_idx=[0])
        mean: torch.Tensor = self.vae.quant_conv(x).chunk(2, dim=1)[0]
        return (mean - self.mean) / self.std


class FirstDecoder(Normalised):
    """The first latent frame of a clip."""

    def forward(self, latent: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """FP32 (1, C, 1, h, w) -> frames FP32 (1, 3, 1, 8h, 8w) in [-1, 1], then each cache FP32 (1, c, 2, y, x)."""
        self.vae.clear_cache()
        cache: list[Any] = self.vae._feat_map[: convolutions(self.vae)]
        x = self.vae.post_quant_conv(latent * self.std + self.mean)
        frames = self.vae.decoder(x, feat_cache=cache, feat_idx=[0], first_chunk=True).clamp(-1, 1)
        for index, seen in enumerate(cache):
            # The two convolutions in time have seen nothing yet; each stands behind one of the same shape.
            cache[index] = (
                functional.pad(seen, (0, 0, 0, 0, 1, 0))
                if isinstance(seen, torch.Tensor)
                else torch.zeros_like(cache[index - 1])
            )
        return frames, *cache


class NextDecoder(Normalised):
    """Every later latent frame of a clip."""

    def forward(self, latent: torch.Tensor, caches: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """As FirstDecoder, but takes the caches too, and makes 4 frames (1, 3, 4, 8h, 8w)."""
        cache = list(caches)
        x = self.vae.post_quant_conv(latent * self.std + self.mean)
        frames = self.vae.decoder(x, feat_cache=cache, feat_idx=[0], first_chunk=False).clamp(-1, 1)
        return frames, *cache


def convolutions(vae: AutoencoderKLWan) -> int:
    """How many of the decoder's convolutions keep a cache: all that look back in time."""
    return sum(isinstance(each, WanCausalConv3d) and each.kernel_size[0] > 1 for each in vae.decoder.modules())


def vae(profile: Profile) -> AutoencoderKLWan:
    """A seeded, untrained VAE, through which colours pass; its latents are normalised over random pictures."""
    torch.manual_seed(profile.seed + 2)
    made = AutoencoderKLWan(base_dim=profile.vae.base_width, z_dim=profile.vae.channels).eval()
    start_vae.carry_picture(made)
    mean, std = start_vae.latent_statistics(made, profile.seed)
    made.register_to_config(latents_mean=mean, latents_std=std)
    return made
