"""A profile's model card, as the catalog's file has it."""

import json
from collections.abc import Iterator
from typing import Any

from tools.export.memory_plan import MemoryPlan
from tools.export.profile import Profile


def table(profile: Profile, plan: MemoryPlan) -> dict[str, Any]:
    """The card's values by key."""
    card_fields, engine = profile.card, profile.engine
    steps = len(profile.schedule.timesteps) if profile.schedule else profile.sampler.steps if profile.sampler else 0
    made: dict[str, Any] = {
        "display_name": card_fields.display_name,
        "description": card_fields.description,
        "backend": "triton",
        "profile": profile.name,
        "operations": card_fields.operations,
        "qualities": ("quality", "fast") if profile.tiny_vae else ("quality",),
        "sizes": card_fields.sizes,
        "durations_s": card_fields.durations_s,
    }
    if card_fields.durations_s_by_operation:
        made["durations_s_by_operation"] = card_fields.durations_s_by_operation
    if profile.schedule is not None and profile.schedule.window_latents and not profile.schedule.window_learnt:
        made["experimental"] = True
    made |= {
        "fps": profile.fps,
        "extra_frames": 1,
        "prompt_max_characters": card_fields.prompt_max_characters,
        "price_per_second_micros": card_fields.price_per_second_micros,
        "default_timeout_s": card_fields.default_timeout_s,
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
