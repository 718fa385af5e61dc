"""The tiny decoder: TAEHV's, of the quality `fast`, as two graphs with the interface of the VAE's own.

TAEHV (Ollin Boer Bohan, https://github.com/madebyollin/taehv, MIT) is a small network that was trained to undo the Wan
VAE's encoder; `taew2_1.pth` is its file for Wan2.1. It reads normalised latents as the transformer makes them. A block
looks back one frame, in a network without any other time: so the cache of a clip is that frame of each block.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from tools.export import decoder_graphs
from tools.export.graph import DTYPES, Graph
from tools.export.module_weights import MetaWeights, ModuleWeights
from tools.export.profile import Profile

GROWTH = (1, 2, 2)
"""Frames that one becomes at the end of each level; pixels double in all three."""

BLOCKS = 3
"""Of a level."""

TRIMMED = math.prod(GROWTH) - 1
"""Frames of the first latent frame that are dropped: its last one is the clip's first."""


class Clamp(nn.Module):  # type: ignore[misc]
    """Keeps latents softly within -3 and 3."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape."""
        return torch.tanh(x / 3) * 3


class MemBlock(nn.Module):  # type: ignore[misc]
    """A residual block over each frame together with the one before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """Frames (T, c, y, x), and of each the one before it, to as many."""
        return functional.relu(self.conv(torch.cat((x, before), dim=1)) + x)


class TGrow(nn.Module):  # type: ignore[misc]
    """Makes `growth` frames of each."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width * growth, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(T, c, y, x) -> (growth * T, c, y, x)."""
        return self.conv(x).reshape(-1, *x.shape[1:])


class TinyVae(nn.Sequential):  # type: ignore[misc]
    """TAEHV's decoder. Its parameters have the names of the file's, without `decoder.`."""

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        layers: list[nn.Module] = [Clamp(), nn.Conv2d(channels, widths[0], 3, padding=1), nn.ReLU()]
        for width, following, growth in zip(widths, (*widths[1:], widths[-1]), GROWTH, strict=False):
            layers += [MemBlock(width) for _ in range(BLOCKS)]
            layers += [nn.Upsample(scale_factor=2), TGrow(width, growth)]
            layers += [nn.Conv2d(width, following, 3, padding=1, bias=False)]
        super().__init__(*layers, nn.ReLU(), nn.Conv2d(widths[-1], 3, 3, padding=1))
        self.channels = channels

    def fitted(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A file's tensors as this module takes them.

        A file may grow more frames than are wanted here: its rows are those of one frame after another, and the last
        are kept, as TAEHV itself does.
        """
        grown = {f"{name}.conv.weight": layer for name, layer in self.named_children() if isinstance(layer, TGrow)}
        return {
            name: each[-grown[name].conv.out_channels :] if name in grown else each for name, each in tensors.items()
        }

    def decoded(
        self, latent: torch.Tensor, cache: Sequence[torch.Tensor] | None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Latent frames (T, C, h, w), normalised, to frames (4T, 3, 8h, 8w) in [-1, 1], and the new cache.

        `cache` is that of the frames before, (1, c, y, x) a block; None, before the first: zeros.
        """
        x, new_cache = latent, list[torch.Tensor]()
        for layer in self:
            if isinstance(layer, MemBlock):
                before = torch.zeros_like(x[:1]) if cache is None else cache[len(new_cache)]
                new_cache.append(x[-1:])
                x = layer(x, torch.cat((before, x[:-1])))
            else:
                x = layer(x)
        return x.float().clamp(0, 1) * 2 - 1, new_cache


class Decoder(nn.Module):  # type: ignore[misc]
    """The common part of the two graphs."""

    def __init__(self, decoder: TinyVae) -> None:
        super().__init__()
        self.decoder = decoder
        self.dtype = next(decoder.parameters()).dtype


class FirstDecoder(Decoder):
    """The first latent frame of a clip."""

    def forward(self, latent: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """FP32 (1, C, 1, h, w) -> frames UINT8 (1, 8h, 8w, 3), then each cache (1, c, y, x) in the VAE's precision."""
        frames, cache = self.decoder.decoded(latent.squeeze(2).to(self.dtype), None)
        return decoder_graphs.as_pixels(frames[TRIMMED:]), *cache


class NextDecoder(Decoder):
    """Every later latent frame of a clip."""

    def forward(self, latent: torch.Tensor, caches: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """As FirstDecoder, but takes the caches too, and makes 4 frames (4, 8h, 8w, 3)."""
        frames, cache = self.decoder.decoded(latent.squeeze(2).to(self.dtype), caches)
        return decoder_graphs.as_pixels(frames), *cache


def tiny_vae(profile: Profile, module_weights: ModuleWeights) -> TinyVae:
    """The profile's tiny decoder, which it must have."""
    assert profile.tiny_vae is not None, f"the profile {profile.name!r} has no tiny decoder"
    widths = profile.tiny_vae.widths

    def make() -> TinyVae:
        return TinyVae(profile.vae.channels, widths)

    return module_weights.module("tiny_vae", make, dtype=DTYPES[profile.engine.picture_precision])


def cache_shapes(profile: Profile, height: int, width: int) -> list[tuple[int, ...]]:
    """Shapes of the tensors of one clip's feature cache, for latents of this size."""
    latent = torch.empty(1, profile.vae.channels, height, width, device="meta")
    _, cache = tiny_vae(profile, MetaWeights()).decoded(latent, None)
    return [tuple(each.shape) for each in cache]


def cache_bytes(profile: Profile, height: int, width: int) -> int:
    """Bytes of the decoder's feature cache of one clip, for latents of this size."""
    return decoder_graphs.total_bytes(cache_shapes(profile, height, width), profile.engine.picture_precision)


def graphs(profile: Profile, module_weights: ModuleWeights) -> Iterator[Graph]:
    """The decoder's two graphs, where the profile has one."""
    if profile.tiny_vae is None:
        return
    made = tiny_vae(profile, module_weights)
    yield from decoder_graphs.decoder_graphs(
        profile, "vae_decoder_tiny", FirstDecoder(made), NextDecoder(made), caches=BLOCKS * len(GROWTH)
    )
