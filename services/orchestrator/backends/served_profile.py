"""What a Triton server serves, in its own words, and how a video is made by it: a plan, or why there is none.

The card is what was promised to the caller, the profile what is there. Where they disagree nothing is begun, and the
message names both sides: it is for operators, because callers cannot change it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

from services import bounded_json
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.spec import QUALITY, ImageToVideo, Operation, Size, Spec, TextToVideo
from services.orchestrator.ports.backend import AttemptFailed
from services.reasons import JobReason

CAUSAL, BIDIRECTIONAL = "causal", "bidirectional"


@dataclass(frozen=True, slots=True)
class GenerationPlan:
    """How one video comes about."""

    frames: int
    spans: tuple[tuple[int, int], ...]
    """The blocks that are made, in order, as absolute latent frames: [start, end)."""
    latent_size: tuple[int, int]
    """(h, w)"""
    decoder: str
    """The Triton model that turns its latents into frames."""
    temporal_factor: int
    mark: str
    """Digest of all that decides what the latents are."""

    @property
    def latents(self) -> int:
        """Latent frames of the whole video."""
        return self.spans[-1][1]

    @property
    def given(self) -> bool:
        """Whether latent frame 0 is the picture's own and is not made."""
        return self.spans[0][0] == 1

    def frames_before(self, latent: int) -> int:
        """Returns how many frames the latent frames before this one stand for."""
        return max(0, (latent - 1) * self.temporal_factor + 1)


@dataclass(frozen=True, slots=True)
class ServedProfile:
    """A family of models and its schedule, as the Triton model `profile` describes it."""

    name: str
    digest: str
    spatial_factor: int
    temporal_factor: int
    block_latents: int
    max_latents: int
    image_encoder: bool
    """Whether there is one: its transformer attends to the picture."""
    pipeline: str = CAUSAL
    independent_first_frame: bool = True
    """Whether a made latent frame 0 is a block of its own."""
    size_multiple: int = 16
    decoders: Mapping[str, str] = field(default_factory=lambda: {QUALITY: "vae_decoder"})
    """The Triton model for each quality."""
    guidance: float = 1.0
    """Above 1 the transformer also gets the negative prompt."""
    negative_prompt: str = ""
    text_on_demand: bool = False
    """Whether the text encoder is loaded only while it is needed, because the memory does not hold everything."""
    fps: int = 0
    steps: int = 0
    precision: str = ""
    """These three are only for the check of cards; empty in profiles of older exports."""

    @classmethod
    def parse(cls, text: str | bytes) -> "ServedProfile":
        """Reads the model's JSON; what we do not use of it is left alone.

        Raises AttemptFailed (PROFILE_MISMATCH) if it is not a profile of the present format.
        """
        try:
            served = bounded_json.loads(text)
            if not isinstance(served, dict):
                raise TypeError("it is no object")
            known = {name: served[name] for name in cls.__dataclass_fields__ if name in served}
            for name, value in known.items():
                _hold(name, value, cls.__dataclass_fields__[name].type)
            return cls(**known)
        except (ValueError, TypeError) as error:
            raise AttemptFailed(
                JobError(
                    JobReason.PROFILE_MISMATCH,
                    f"Triton serves a profile that cannot be read ({error}). Operators build it again: `make models`.",
                    retryable=False,
                )
            ) from error

    @property
    def models(self) -> tuple[str, ...]:
        """The Triton models that are called and always loaded."""
        sometimes = {"text_encoder": not self.text_on_demand, "image_encoder": self.image_encoder}
        encoders = (name for name, there in sometimes.items() if there)
        return ("tokenizer", *encoders, "vae_encoder", "transformer", *self.decoders.values())

    def plan(self, card: ModelCard, spec: Spec) -> GenerationPlan:
        """Returns how a completed spec is made. Raises AttemptFailed (PROFILE_MISMATCH) when it cannot be made here."""
        size, quality = spec.size or card.sizes[0], spec.quality or card.qualities[0]
        if card.engine is not None and card.engine.profile != self.name:
            raise self._mismatch(card, f"needs the profile {card.engine.profile!r}")
        if quality not in self.decoders:
            raise self._mismatch(card, f"offers the quality {quality!r}; the profile has {', '.join(self.decoders)}")
        if size.width % self.size_multiple or size.height % self.size_multiple:
            raise self._mismatch(card, f"offers {size}; the profile makes sides that {self.size_multiple} divides")
        frames = card.frames(spec)
        return GenerationPlan(
            frames,
            self._spans(card, frames, given=isinstance(spec.operation, ImageToVideo)),
            (size.height // self.spatial_factor, size.width // self.spatial_factor),
            self.decoders[quality],
            self.temporal_factor,
            hashlib.sha256(f"{self.digest} {spec.fingerprint()} {frames}".encode()).hexdigest(),
        )

    def check(self, card: ModelCard) -> None:
        """Holds all that a card promises against what is served. Raises AttemptFailed (PROFILE_MISMATCH)."""
        for kind in card.operations:
            operation: Operation = ImageToVideo("", "") if kind == ImageToVideo.kind else TextToVideo("")
            for ms, size, quality in product(card.durations(kind), card.sizes, card.qualities):
                self.plan(card, Spec(card.id, operation, ms, Size(size.width, size.height), quality=quality))
        stated: list[tuple[str, int | str | None, int | str]] = [("fps", card.fps, self.fps)]
        if card.engine is not None:
            stated += [("steps", card.engine.steps, self.steps), ("precision", card.engine.precision, self.precision)]
        for what, promised, served in stated:
            if promised and served and promised != served:
                raise self._mismatch(card, f"says {what} = {promised}; the profile has {served}")

    def _spans(self, card: ModelCard, frames: int, *, given: bool) -> tuple[tuple[int, int], ...]:
        more, rest = divmod(frames - 1, self.temporal_factor)
        latents = more + 1
        if rest or latents > self.max_latents:
            most = (self.max_latents - 1) * self.temporal_factor + 1
            offers = f"1 + {self.temporal_factor} k frames, at most {most}"
            raise self._mismatch(card, f"promises {frames} frames; the profile makes {offers}")
        if self.pipeline == BIDIRECTIONAL:
            return ((0, latents),)
        begin = 1 if given or self.independent_first_frame else 0
        if (latents - begin) % self.block_latents:
            how = f"{begin} + {self.block_latents} k" if begin else f"{self.block_latents} k"
            source = "from a picture" if given else "from a text"
            raise self._mismatch(card, f"promises {latents} latent frames {source}; the profile makes {how}")
        rests = tuple((at, at + self.block_latents) for at in range(begin, latents, self.block_latents))
        return rests if given or not begin else ((0, 1), *rests)

    def _mismatch(self, card: ModelCard, what: str) -> AttemptFailed:
        return AttemptFailed(
            JobError(
                JobReason.PROFILE_MISMATCH,
                f"Triton serves the profile {self.name!r}, but the model {card.id!r} {what}. "
                "Operators serve the profile that the card means, or change the card.",
                retryable=False,
            )
        )


def _hold(name: str, value: object, kind: object) -> None:
    """Holds a value of the JSON against a field's type. Raises TypeError, ValueError."""
    kinds: dict[object, type | tuple[type, ...]] = {float: (int, float), str: str, int: int, bool: bool}
    if not isinstance(value, kinds.get(kind, dict)) or isinstance(value, bool) != (kind is bool):
        raise TypeError(f"{name} is {value!r}")
    if kind is int and isinstance(value, int) and value < 1:
        raise ValueError(f"{name} is {value}")
