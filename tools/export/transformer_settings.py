"""The settings of the transformer's loop, besides its weights."""

from dataclasses import asdict
from typing import Any

from tools.export.profile import Profile


def settings_of(profile: Profile) -> dict[str, Any]:
    """What `model_repository/transformer/1/transformer_settings.py` reads, by key; lists stand for tuples."""
    schedule, size, image = profile.schedule, profile.transformer, profile.image_encoder
    content: dict[str, Any] = {
        "pipeline": profile.pipeline,
        "runtime": profile.engine.runtime,
        "precision": profile.engine.precision,
        "channels": profile.vae.channels,
        "condition_channels": size.condition_channels,
        "heads": size.heads,
        "head_width": size.head_width,
        "layers": size.layers,
        "feed_forward": size.feed_forward,
        "time_width": size.time_width,
        "text_length": profile.text_encoder.length,
        "text_width": profile.text_encoder.width,
        "image_tokens": 0 if image is None else image.tokens,
        "image_width": 0 if image is None else image.width,
        "max_latents": profile.max_latents,
        "warm_up_size": [2, 2]
        if profile.engine.device == "cpu"
        else [side // 8 for side in reversed(profile.sizes[0])],
        "compile": profile.engine.compile,
        "keep_cache": not profile.engine.text_on_demand,
    }
    if schedule is not None:
        content |= {
            "block_latents": schedule.block_latents,
            "independent_first_frame": schedule.independent_first_frame,
            "timesteps": schedule.warped(schedule.timesteps),
            "first_timesteps": schedule.warped(schedule.first_timesteps or schedule.timesteps),
            "window_latents": schedule.window_latents,
            "sink_latents": schedule.sink_latents,
        }
    if profile.sampler is not None:
        content |= {key: value for key, value in asdict(profile.sampler).items() if key != "negative_prompt"}
    return content
