"""The manifest of a finished video: how it was made. Pure.

`claim` has what may leave with the file, signed. `manifest` has all of it, for the user whose video it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.content_credentials import Claim, Identity
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.domain.spec import to_json

VERSION = 1
"""Of the form of manifests."""


class MarkedBy(StrEnum):
    """Who added the pixel mark."""

    ENGINE = "the engine, as it made the frames"
    SERVICE = "this service, to the vendor's video"


@dataclass(frozen=True, slots=True)
class Unsigned:
    """The file as it was before it was signed: equal for equal requests."""

    sha256: str
    size_bytes: int
    marked_by: MarkedBy | None = None
    """None: its frames carry no pixel mark."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """How an asset was made."""

    sha256: str
    """Of the asset."""
    body: Mapping[str, Any]
    """JSON values."""


def claim(job: Job, card: ModelCard, info: VideoInfo, unsigned: Unsigned, made_with: Mapping[str, str]) -> Claim:
    """Returns what is signed into the file. Nothing in it names a tenant, a user, a job, a price or a prompt."""
    facts = {
        "version": VERSION,
        "operation": job.spec.operation.kind,
        "model": _model(job, card, made_with),
        "seed": job.spec.seed,
        "quality": job.spec.quality,
        "width": info.width,
        "height": info.height,
        "frames": info.frames,
        "fps": info.fps,
        "prompt_written_by": _writer(job),
        "unsigned_sha256": unsigned.sha256,
        "unsigned_size_bytes": unsigned.size_bytes,
        "pixel_mark": unsigned.marked_by is not None,
        "pixel_mark_by": unsigned.marked_by,
    }
    return Claim({name: value for name, value in facts.items() if value is not None}, _parents(job))


def manifest(
    job: Job,
    card: ModelCard,
    asset: Asset,
    unsigned: Unsigned,
    made_with: Mapping[str, str],
    *,
    version: str,
    signed_by: Identity | None,
    unsigned_because: str = "",
) -> Manifest:
    """Returns everything that is known of how a video was made. `signed_by` None: its file is unsigned."""
    assert isinstance(asset.info, VideoInfo)
    shown = claim(job, card, asset.info, unsigned, made_with)
    written = job.written
    body: dict[str, Any] = {
        **shown.facts,
        "asset": f"assets/{asset.sha256}",
        "media_type": asset.info.media_type,
        "size_bytes": asset.size_bytes,
        "duration_s": asset.info.duration_s,
        "job": f"jobs/{job.id}",
        "create_time": asset.create_time.isoformat(),
        "i2v_version": version,
        "spec": to_json(replace(job.spec, details=None)),
        "prompt": job.prompt,
        "parents": [{"role": role, "asset": f"assets/{sha256}"} for role, sha256 in shown.parents],
        "signed": signed_by is not None,
    }
    if written is not None:
        body["prompt_writer"] = {"llm": written.llm, "source": written.source, "negative": written.negative_prompt}
    if asset.promised:
        body["vendor_says"] = dict(asset.promised)
    if signed_by is not None:
        body["certificate"] = {
            "name": signed_by.name,
            "serial": signed_by.serial,
            "sha256": signed_by.sha256,
            "development": signed_by.development,
        }
    else:
        body["unsigned_because"] = unsigned_because
    return Manifest(asset.sha256, body)


def rendition_claim(made: Manifest, variant: str) -> Claim:
    """Returns what is signed into a picture that shows a generated video, such as its poster."""
    facts = {name: made.body[name] for name in ("version", "operation", "model", "seed") if name in made.body}
    return Claim({**facts, "variant": variant, "video_sha256": made.sha256}, shows=made.sha256)


def _model(job: Job, card: ModelCard, made_with: Mapping[str, str]) -> dict[str, Any]:
    model: dict[str, Any] = {"id": card.id, "name": card.display_name, **made_with}
    if card.remote is not None:
        model |= {"vendor": card.backend, "vendor_model": card.remote.model}
    if job.card_version:
        model["card_version"] = job.card_version
    return model


def _writer(job: Job) -> str:
    if job.written is not None:
        return f"a language model ({job.written.llm})" if job.written.llm else "a template"
    return "the caller"


def _parents(job: Job) -> tuple[tuple[str, str], ...]:
    return tuple(job.spec.operation.assets.items())
