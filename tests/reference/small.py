"""A Wan of a few thousand parameters, and the same as a checkpoint of Self-Forcing and as a profile of ours."""

from pathlib import Path

import torch

from tests.reference.rollout import Way
from tests.reference.wan import Sizes, Wan
from tools.export.profile import Card, Engine, ImageEncoder, Profile, Schedule, TextEncoder, Transformer, Vae

TEXT_LENGTH = 5
IMAGE = ImageEncoder(size=8, patch=4, width=20, heads=1, feed_forward=8, layers=1)


def wan(*, picture: bool = False, seed: int = 0) -> Wan:
    """A Wan whose every parameter is random, norms too, so that a test notices a missing or exchanged one."""
    torch.manual_seed(seed)
    model = Wan(Sizes(image_width=IMAGE.width if picture else 0))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(torch.randn_like(parameter) / 4)
            elif "modulation" in name:
                parameter.copy_(torch.randn_like(parameter) / 2)
    return model.eval()


def checkpoint(model: Wan, file: Path) -> Path:
    """Writes the model as Self-Forcing publishes its own."""
    torch.save({"generator_ema": {f"model.{name}": tensor for name, tensor in model.state_dict().items()}}, file)
    return file


def profile(model: Wan, way: Way, *, max_latents: int, engine: Engine | None = None) -> Profile:
    """The profile that the model's checkpoint fills; of encoders and VAE only what the transformer has to know."""
    sizes = model.sizes
    return Profile(
        name="small",
        pipeline="causal",
        fps=16,
        text_encoder=TextEncoder(
            tokenizer="bytes",
            length=TEXT_LENGTH,
            vocabulary=8,
            width=sizes.text_width,
            head_width=4,
            heads=1,
            feed_forward=8,
            layers=1,
        ),
        image_encoder=IMAGE if sizes.image_width else None,
        vae=Vae(base_width=4, channels=sizes.channels),
        transformer=Transformer(
            heads=sizes.heads,
            head_width=sizes.head_width,
            feed_forward=sizes.feed_forward,
            layers=sizes.layers,
            time_width=sizes.time_width,
        ),
        schedule=Schedule(
            block_latents=way.frames_per_block,
            max_latents=max_latents,
            timesteps=way.steps,
            first_timesteps=way.first_steps,
            shift=way.shift,
            independent_first_frame=way.independent_first_frame,
            window_latents=way.window,
            sink_latents=way.sink,
        ),
        engine=engine or Engine(threads=1),
        card=Card(display_name="Small", description="", operations=(), sizes=("16x16",), durations_s=(1,)),
    )
