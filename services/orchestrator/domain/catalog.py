"""Model cards: what each model makes, within which limits, for how much.

A card decides alone whether a spec can be made; nothing that passes `ModelCard.check` is refused later for its shape.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from services.errors import InvalidSpec, NotFound, Violation
from services.orchestrator.domain.card_file import TIMEOUT_MAX_MS, TIMEOUT_MIN_MS, hold
from services.orchestrator.domain.media import PictureInfo
from services.orchestrator.domain.price import price
from services.orchestrator.domain.spec import QUALITY, SEED_MAX, ImageToVideo, Size, Spec

ENGINE = re.compile(r"triton(-[a-z0-9-]+)?")
"""Names of the backends that are engines of our own: Triton servers."""


@dataclass(frozen=True, slots=True)
class EngineNeeds:
    """What a model of our own needs of its Triton server."""

    profile: str
    """Name of the profile that the server must serve."""
    steps: int | None = None
    precision: str = ""
    memory_bytes: int | None = None
    """Of the GPU, or of the host where the profile runs on the CPU; for one server."""
    experimental: bool = False


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model of the catalog."""

    id: str
    display_name: str
    description: str
    backend: str
    """Name of the backend that runs it: `triton`, `triton-…`, `fake`."""
    operations: tuple[str, ...]
    sizes: tuple[Size, ...]
    """The default first, unless the picture's shape is nearer to another."""
    durations_ms: tuple[int, ...]
    """The default first; for operations that `durations_ms_by_operation` does not name."""
    fps: int
    extra_frames: int
    """Frames beyond fps x duration: 1 where the picture itself comes first."""
    prompt_max_characters: int
    prompt_max_bytes: int
    """The same in UTF-8: a model that reads bytes cuts a longer prompt off, so it is refused instead."""
    price_per_second_micros: int
    default_timeout_ms: int
    qualities: tuple[str, ...] = (QUALITY,)
    """The default first."""
    durations_ms_by_operation: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    engine: EngineNeeds | None = None
    """None for what is not ours."""

    def durations(self, kind: str) -> tuple[int, ...]:
        """Returns the lengths that an operation can have, the default first."""
        return self.durations_ms_by_operation.get(kind, self.durations_ms)

    def check(self, spec: Spec) -> list[Violation]:
        """Returns everything that is wrong with a spec for this model; empty when it can be made."""
        wrong: list[Violation] = []
        kind = spec.operation.kind
        field = "spec." + kind.replace("-", "_")
        if kind not in self.operations:
            wrong.append(
                Violation(
                    field,
                    f"the model {self.id!r} does not do {kind}; it does {', '.join(self.operations)}",
                    "OPERATION_UNSUPPORTED",
                )
            )
        prompt = spec.operation.prompt
        if not prompt.strip():
            wrong.append(Violation(f"{field}.prompt", "is empty; say in a few words what shall happen", "PROMPT_EMPTY"))
        elif len(prompt) > self.prompt_max_characters:
            wrong.append(
                Violation(
                    f"{field}.prompt",
                    f"has {len(prompt)} characters; {self.id!r} takes at most {self.prompt_max_characters}",
                    "PROMPT_TOO_LONG",
                )
            )
        elif (size := len(prompt.encode(errors="replace"))) > self.prompt_max_bytes:
            wrong.append(
                Violation(
                    f"{field}.prompt",
                    f"takes {size} bytes in UTF-8; {self.id!r} reads at most {self.prompt_max_bytes}",
                    "PROMPT_TOO_LONG",
                )
            )
        elif "\x00" in prompt:
            wrong.append(Violation(f"{field}.prompt", "holds a NUL character; leave it out", "PROMPT_MALFORMED"))
        if isinstance(spec.operation, ImageToVideo) and not re.fullmatch(r"[0-9a-f]{64}", spec.operation.image):
            wrong.append(
                Violation(
                    f"{field}.image",
                    "is not the name of an asset; upload the picture and give `assets/{sha256}`",
                    "ASSET_NAME_MALFORMED",
                )
            )
        if spec.duration_ms is not None and spec.duration_ms not in (durations := self.durations(kind)):
            offered = ", ".join(f"{d / 1000:g} s" for d in sorted(durations))
            offered += f" for {kind}" if kind in self.durations_ms_by_operation else ""
            wrong.append(
                Violation(
                    "spec.duration",
                    f"is {spec.duration_ms / 1000:g} s; {self.id!r} makes {offered}",
                    "DURATION_UNSUPPORTED",
                )
            )
        if spec.size is not None and spec.size not in self.sizes:
            offered = ", ".join(str(s) for s in self.sizes)
            wrong.append(
                Violation(
                    "spec.size", f"is {spec.size}; {self.id!r} makes {offered} (width x height)", "SIZE_UNSUPPORTED"
                )
            )
        if spec.quality is not None and spec.quality not in self.qualities:
            offered = ", ".join(self.qualities)
            wrong.append(
                Violation("spec.quality", f"is {spec.quality}; {self.id!r} offers {offered}", "QUALITY_UNSUPPORTED")
            )
        if spec.seed is not None and not 0 <= spec.seed <= SEED_MAX:
            wrong.append(Violation("spec.seed", f"is {spec.seed}; a seed is 0 to 2^63 - 1", "SEED_OUT_OF_RANGE"))
        if spec.timeout_ms is not None and not TIMEOUT_MIN_MS <= spec.timeout_ms <= TIMEOUT_MAX_MS:
            wrong.append(
                Violation(
                    "spec.timeout", f"is {spec.timeout_ms / 1000:g} s; 1 s to 24 h are allowed", "TIMEOUT_OUT_OF_RANGE"
                )
            )
        return wrong

    def complete(self, spec: Spec, *, seed: int | None, picture: PictureInfo | None) -> Spec:
        """Returns the spec with every default filled in: the one that is priced, stored and made."""
        return replace(
            spec,
            duration_ms=spec.duration_ms if spec.duration_ms is not None else self.durations(spec.operation.kind)[0],
            size=spec.size or self._nearest_size(picture),
            seed=spec.seed if spec.seed is not None else seed,
            timeout_ms=spec.timeout_ms if spec.timeout_ms is not None else self.default_timeout_ms,
            quality=spec.quality or self.qualities[0],
        )

    def quote(self, spec: Spec) -> int:
        """Returns the price of a completed spec in micros."""
        return price(spec.duration_ms or 0, self.price_per_second_micros)

    def frames(self, spec: Spec) -> int:
        """Returns how many frames the video of a completed spec has."""
        return (spec.duration_ms or 0) * self.fps // 1000 + self.extra_frames  # whole: _card has seen to it

    def _nearest_size(self, picture: PictureInfo | None) -> Size:
        if picture is None:
            return self.sizes[0]
        shape = picture.width / picture.height

        def distance(size: Size) -> float:
            ours = size.width / size.height
            return max(ours / shape, shape / ours)

        return min(self.sizes, key=distance)  # min keeps the first of equals: the card's order


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every model card, by id."""

    cards: Mapping[str, ModelCard]

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(sorted(self.cards.values(), key=lambda card: card.id))

    def card(self, model: str) -> ModelCard:
        """Returns a card. Raises NotFound."""
        if model not in self.cards:
            raise NotFound("model", model)
        return self.cards[model]

    def card_for(self, spec: Spec) -> ModelCard:
        """Returns the card of a spec's model. Raises InvalidSpec, naming the models that there are."""
        if spec.model not in self.cards:
            known = ", ".join(sorted(self.cards))
            what = f"is {spec.model!r}; there are {known}" if spec.model else f"is missing; there are {known}"
            raise InvalidSpec([Violation("spec.model", what, "MODEL_UNKNOWN")], reason="MODEL_UNKNOWN")
        return self.cards[spec.model]

    @classmethod
    def from_toml(cls, parsed: Mapping[str, Any]) -> "Catalog":
        """Builds the catalog from the tables of `models.toml`.

        Raises KeyError without any models, ValueError on a malformed card: it names the card, the key and what it is.
        """
        models = parsed["models"]
        if unknown := set(parsed) - {"models"}:
            raise ValueError(f"there is no table {min(unknown)!r}; the cards are in `models`")
        if not isinstance(models, dict):
            raise ValueError("`models` holds a table for each card")
        return cls({model: _card(model, table) for model, table in models.items()})


def _card(model: str, table: Any) -> ModelCard:
    hold(model, table)
    operations = tuple(table["operations"])
    durations = _milliseconds(table["durations_s"])
    by_operation = {kind: _milliseconds(each) for kind, each in table.get("durations_s_by_operation", {}).items()}
    if unknown := set(by_operation) - set(operations):
        raise ValueError(
            f"the card {model!r} has durations_s_by_operation for {min(unknown)!r}, which is none of its operations"
        )
    fps, characters = table["fps"], table["prompt_max_characters"]
    for ms in (*durations, *(ms for each in by_operation.values() for ms in each)):
        if ms * fps % 1000:
            raise ValueError(f"the card {model!r} has a length of {ms / 1000:g} s, which is no whole number of frames")
    return ModelCard(
        id=model,
        display_name=table["display_name"],
        description=table["description"],
        backend=table["backend"],
        operations=operations,
        sizes=tuple(Size(*(int(side) for side in text.split("x"))) for text in table["sizes"]),
        durations_ms=durations,
        fps=fps,
        extra_frames=table.get("extra_frames", 0),
        prompt_max_characters=characters,
        prompt_max_bytes=table.get("prompt_max_bytes", 4 * characters),
        price_per_second_micros=table["price_per_second_micros"],
        default_timeout_ms=table["default_timeout_s"] * 1000,
        qualities=tuple(table.get("qualities", (QUALITY,))),
        durations_ms_by_operation=by_operation,
        engine=_engine(model, table),
    )


def _engine(model: str, table: Mapping[str, Any]) -> EngineNeeds | None:
    stated = {name: table[name] for name in EngineNeeds.__dataclass_fields__ if name in table}
    if not ENGINE.fullmatch(table["backend"]):
        if stated:
            raise ValueError(f"the card {model!r} states {min(stated)!r}, but its backend is no Triton of ours")
        return None
    return EngineNeeds(**({"profile": model} | stated))


def _milliseconds(seconds: Iterable[float]) -> tuple[int, ...]:
    return tuple(round(each * 1000) for each in seconds)
