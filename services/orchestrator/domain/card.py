"""The model card: what one model makes, within which limits, for how much.

A card decides alone whether a spec can be made; nothing that passes `ModelCard.check` is refused later for its shape.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from services.blank_text import is_blank
from services.errors import Violation
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.card_keys import TIMEOUT_MAX_MS, TIMEOUT_MIN_MS
from services.orchestrator.domain.forbidden_characters import fault
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo
from services.orchestrator.domain.price import price
from services.orchestrator.domain.remote import Remote, check_scene, refused_locally
from services.orchestrator.domain.spec import QUALITY, SEED_MAX, Size, Spec, TalkingAvatar
from services.reasons import SpecReason

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
    """Name of the backend that runs it: `triton`, `triton-…`, `fake`, or a provider's."""
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
    """None unless the model is ours."""
    remote: Remote | None = None
    """None if the model is ours. A remote card has no sizes and no frame rate: the vendor decides them."""

    @property
    def resolutions(self) -> tuple[str, ...]:
        """What a caller can choose: resolutions of a remote model, sizes of one of ours."""
        return self.remote.resolutions if self.remote is not None else tuple(map(str, self.sizes))

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
                    SpecReason.OPERATION_UNSUPPORTED,
                )
            )
        wrong += self.remote.check(self.id, spec) if self.remote else refused_locally(self.id, spec)
        wrong += check_scene(spec)
        prompt = spec.operation.prompt
        optional = spec.written or (self.remote is not None and self.remote.prompt_optional)
        if is_blank(prompt):
            if prompt or not optional:
                what = "is empty; say in a few words what happens in the video"
                wrong.append(Violation(f"{field}.prompt", what, SpecReason.PROMPT_EMPTY))
        elif self.remote is not None and len(prompt) < self.remote.prompt_min_characters:
            what = f"has {len(prompt)} characters; {self.id!r} takes at least {self.remote.prompt_min_characters}"
            wrong.append(Violation(f"{field}.prompt", what, SpecReason.PROMPT_TOO_SHORT))
        elif len(prompt) > self.prompt_max_characters:
            wrong.append(
                Violation(
                    f"{field}.prompt",
                    f"has {len(prompt)} characters; {self.id!r} takes at most {self.prompt_max_characters}",
                    SpecReason.PROMPT_TOO_LONG,
                )
            )
        elif (size := len(prompt.encode(errors="replace"))) > self.prompt_max_bytes:
            wrong.append(
                Violation(
                    f"{field}.prompt",
                    f"takes {size} bytes in UTF-8; {self.id!r} reads at most {self.prompt_max_bytes}",
                    SpecReason.PROMPT_TOO_LONG,
                )
            )
        elif fault(prompt):
            wrong.append(Violation(f"{field}.prompt", fault(prompt), SpecReason.PROMPT_MALFORMED))
        for role, asset in spec.operation.assets.items():
            if not re.fullmatch(r"[0-9a-f]{64}", asset):
                what = "is not the name of an asset; upload the file and give `assets/{sha256}`"
                wrong.append(Violation(f"{field}.{role}", what, SpecReason.ASSET_NAME_MALFORMED))
        by_audio = isinstance(spec.operation, TalkingAvatar)  # whose duration `Remote.check` has refused
        durations = self.durations(kind)
        if spec.duration_ms is not None and not by_audio and spec.duration_ms not in durations:
            offered = ", ".join(f"{d / 1000:g} s" for d in sorted(durations))
            offered += f" for {kind}" if kind in self.durations_ms_by_operation else ""
            wrong.append(
                Violation(
                    "spec.duration",
                    f"is {spec.duration_ms / 1000:g} s; {self.id!r} makes {offered}",
                    SpecReason.DURATION_UNSUPPORTED,
                )
            )
        if spec.size is not None and self.remote is None and spec.size not in self.sizes:
            offered = ", ".join(str(s) for s in self.sizes)
            wrong.append(
                Violation(
                    "spec.size",
                    f"is {spec.size}; {self.id!r} makes {offered} (width x height)",
                    SpecReason.SIZE_UNSUPPORTED,
                )
            )
        if spec.quality is not None and spec.quality not in self.qualities:
            offered = ", ".join(self.qualities)
            wrong.append(
                Violation(
                    "spec.quality", f"is {spec.quality}; {self.id!r} offers {offered}", SpecReason.QUALITY_UNSUPPORTED
                )
            )
        if spec.seed is not None and not 0 <= spec.seed <= SEED_MAX:
            wrong.append(
                Violation("spec.seed", f"is {spec.seed}; a seed is 0 to 2^63 - 1", SpecReason.SEED_OUT_OF_RANGE)
            )
        if spec.timeout_ms is not None and not TIMEOUT_MIN_MS <= spec.timeout_ms <= TIMEOUT_MAX_MS:
            wrong.append(
                Violation(
                    "spec.timeout",
                    f"is {spec.timeout_ms / 1000:g} s; 1 s to 24 h are allowed",
                    SpecReason.TIMEOUT_OUT_OF_RANGE,
                )
            )
        if spec.start_timeout_ms is not None and not TIMEOUT_MIN_MS <= spec.start_timeout_ms <= TIMEOUT_MAX_MS:
            wrong.append(
                Violation(
                    "spec.start_timeout",
                    f"is {spec.start_timeout_ms / 1000:g} s; 1 s to 24 h are allowed",
                    SpecReason.TIMEOUT_OUT_OF_RANGE,
                )
            )
        return wrong

    def check_assets(self, spec: Spec, assets: Mapping[str, Asset]) -> list[Violation]:
        """Returns everything that is wrong with a spec's assets, by role, for this model."""
        return list(self.remote.check_assets(self.id, spec.operation, assets)) if self.remote else []

    def fill(self, spec: Spec, assets: Mapping[str, Asset], *, seed: int | None) -> Spec:
        """Returns the spec completed by its assets, by role."""
        image, audio = assets.get("image"), assets.get("audio")
        return self.complete(
            spec,
            seed=seed,
            picture=image.info if image is not None and isinstance(image.info, PictureInfo) else None,
            # Rounded up: a vendor bills a second that has begun.
            audio_ms=math.ceil(audio.info.duration_s * 1000) if audio and isinstance(audio.info, AudioInfo) else None,
        )

    def complete(
        self, spec: Spec, *, seed: int | None, picture: PictureInfo | None, audio_ms: int | None = None
    ) -> Spec:
        """Returns the spec with every default filled in: the one that is priced, stored and made.

        `audio_ms` is the length of the sound, which decides that of a talking avatar.
        """
        duration_ms = audio_ms if isinstance(spec.operation, TalkingAvatar) else spec.duration_ms
        if duration_ms is None:
            duration_ms = self.durations(spec.operation.kind)[0]
        if self.remote is not None:
            return self._complete_remotely(self.remote, spec, duration_ms, seed)
        return replace(
            spec,
            duration_ms=duration_ms,
            size=spec.size or self._nearest_size(picture),
            seed=spec.seed if spec.seed is not None else seed,
            timeout_ms=spec.timeout_ms if spec.timeout_ms is not None else self.default_timeout_ms,
            quality=spec.quality or self.qualities[0],
        )

    def _complete_remotely(self, remote: Remote, spec: Spec, duration_ms: int, seed: int | None) -> Spec:
        if seed is not None:
            seed %= remote.seed_max + 1
        timeout_ms = self.default_timeout_ms + remote.timeout_per_second_s * duration_ms
        return replace(
            spec,
            duration_ms=duration_ms,
            resolution=spec.resolution or next(iter(remote.resolutions), None),
            seed=(spec.seed if spec.seed is not None else seed) if "seed" in remote.takes else None,
            timeout_ms=spec.timeout_ms if spec.timeout_ms is not None else min(timeout_ms, TIMEOUT_MAX_MS),
            quality=self.qualities[0],
        )

    def quote(self, spec: Spec) -> int:
        """Returns the price of a completed spec in micros."""
        if self.remote is not None:
            return self.remote.price(spec.resolution, spec.duration_ms or 0)
        return price(spec.duration_ms or 0, self.price_per_second_micros)

    def frames(self, spec: Spec) -> int:
        """Returns how many frames the video of a completed spec has; 0 where the vendor decides."""
        return (spec.duration_ms or 0) * self.fps // 1000 + self.extra_frames  # whole: the parser checks it

    def _nearest_size(self, picture: PictureInfo | None) -> Size:
        if picture is None:
            return self.sizes[0]
        shape = picture.width / picture.height

        def distance(size: Size) -> float:
            ours = size.width / size.height
            return max(ours / shape, shape / ours)

        return min(self.sizes, key=distance)  # min keeps the first of equals: the card's order
