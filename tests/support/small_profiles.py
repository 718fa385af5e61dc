"""Profiles of a few hundred thousand parameters, for tests of what nano does not have, and weights to fill them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from tools.export import profile_file
from tools.export.module_weights import ORDER
from tools.export.profile import Profile, Sampler, Transformer, Vae


def bidirectional(*, steps: int = 4, shift: float = 3.0, guidance: float = 5.0, **changes: Any) -> Profile:
    """A Wan2.1 image-to-video model: CLIP tokens, 36 input channels, 512 tokens of prompt, as the library requires."""
    nano = profile_file.load("nano")
    assert nano.image_encoder is not None
    small = replace(
        nano,
        name="small-bidirectional",
        pipeline="bidirectional",
        weights="",
        text_encoder=replace(
            nano.text_encoder,
            tokenizer="bytes",
            vocabulary=384,
            length=512,
            width=32,
            head_width=16,
            heads=2,
            feed_forward=48,
            layers=1,
        ),
        image_encoder=replace(nano.image_encoder, size=32, patch=8, width=48, heads=2, feed_forward=64, layers=2),
        vae=Vae(base_width=4, channels=16),
        tiny_vae=None,
        transformer=Transformer(
            heads=2, head_width=24, feed_forward=64, layers=2, time_width=32, condition_channels=20
        ),
        schedule=None,
        sampler=Sampler(max_latents=21, steps=steps, shift=shift, guidance=guidance, negative_prompt="blurred"),
    )
    return replace(small, **changes)


class Seeded:
    """A Filling with weights as the libraries initialise them, except those that give a prompt almost no effect."""

    def module(self, part: str, make: Callable[[], Any], *, dtype: torch.dtype) -> Any:
        """See Filling."""
        torch.manual_seed(ORDER.index(part))
        made = make().eval()
        if part == "transformer":
            for block in made.blocks:
                block.attn2.to_v.weight.data *= LOUD
        return made if dtype is torch.float32 else made.to(dtype)


LOUD = 12.0
"""How much more of the prompt gets in: untrained, attention takes the mean of all tokens, and most are padding."""
