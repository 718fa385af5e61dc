"""A profile's model card, as the catalog's file has it."""

import json
from collections.abc import Iterator
from typing import Any

from tools.export.memory_plan import MemoryPlan
from tools.export.profile_file import Profile


def table(profile: Profile, plan: MemoryPlan) -> dict[str, Any]:
    """What the card says, by key."""
    said, engine = profile.card, profile.engine
    steps = len(profile.schedule.timesteps) if profile.schedule else profile.sampler.steps if profile.sampler else 0
    made: dict[str, Any] = {
        "display_name": said.display_name,
        "description": said.description,
        "backend": "triton",
        "profile": profile.name,
        "operations": said.operations,
        "qualities": ("quality", "fast") if profile.tiny_vae else ("quality",),
        "sizes": said.sizes,
        "durations_s": said.durations_s,
    }
    if said.durations_s_by_operation:
        made["durations_s_by_operation"] = said.durations_s_by_operation
    if profile.schedule is not None and profile.schedule.window_latents and not profile.schedule.window_learnt:
        made["experimental"] = True
    made |= {
        "fps": profile.fps,
        "extra_frames": 1,
        "prompt_max_characters": said.prompt_max_characters,
        "price_per_second_micros": said.price_per_second_micros,
        "default_timeout_s": said.default_timeout_s,
        "steps": steps,
        "precision": engine.precision,
        "memory_bytes": plan.total(engine.device),
    }
    if profile.text_encoder.tokenizer == "bytes":
        made["prompt_max_bytes"] = profile.text_encoder.length - 1
    return made


def toml(profile: Profile, plan: MemoryPlan) -> Iterator[str]:
    """The lines of the card in TOML."""
    yield f"[models.{json.dumps(profile.name)}]"
    for key, value in table(profile, plan).items():
        if isinstance(value, dict):
            inner = ", ".join(f"{json.dumps(name)} = {json.dumps(each)}" for name, each in value.items())
            yield f"{key} = {{ {inner} }}"
        else:
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
