"""Cards of remote models."""

from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.remote import Remote, Tariff
from tests.support.builders import NOON, a_card


def an_avatar_card(name: str, **remote: object) -> ModelCard:
    values: dict[str, object] = {
        "model": name,
        "capability": "avatar",
        "prices": {"any": Tariff(per_second_micros=1000)},
        "price_as_of": NOON.date(),
        "takes": frozenset({"audio", "mask"}),
        "prompt_optional": True,
        "audio_s": (0.0, 60.0),
        "audio_max_bytes": 10_000,
        "audio_types": ("audio/mpeg",),
    }
    return a_card(
        id=name,
        backend="vendor",
        operations=("talking-avatar",),
        sizes=(),
        fps=0,
        remote=Remote(**(values | remote)),  # type: ignore[arg-type]
    )
