"""Admission: the only way a job comes into being.

A job that exists has passed every check here and its price is already set aside. One transaction covers all of it, so
a crash leaves nothing, or an admitted job.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.errors import InvalidSpec, NotFound, ServiceError, Violation
from services.orchestrator.domain import quota
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.card import ModelCard, assets_of
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.media import AudioInfo, PictureInfo
from services.orchestrator.domain.quota import Plan, Usage
from services.orchestrator.domain.spec import Spec
from services.orchestrator.ports import Clock, Ids, Meter, Store


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a tenant with its plan, for one of its users."""

    tenant: str
    user: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class Preview:
    """What a job would be."""

    spec: Spec
    """Completed, but for the seed when none was given."""
    card: ModelCard
    quote_micros: int
    usage: Usage
    """With this job counted in."""
    frames: int


async def admit(
    spec: Spec, caller: Caller, *, request_id: str, catalog: Catalog, store: Store, clock: Clock, ids: Ids, meter: Meter
) -> Job:
    """Admits one job and returns it QUEUED.

    Idempotent per (tenant, user, request_id): a repeat returns the first job and charges nothing.

    Raises:
        InvalidSpec: the spec is malformed, or beyond the model's limits; names each field.
        NotFound: a picture or a sound is not an asset of this user.
        QuotaExceeded: a rule of the plan refused; metadata says which limit and when it resets.
        RequestIdReused: the same request_id came with a different spec.
    """
    try:
        card, assets = await _check(spec, caller, catalog, store)
    except ServiceError:
        # What was admitted once stays the answer, though its card or picture may be gone since.
        if (earlier := await store.repeat(caller.tenant, caller.user, request_id, spec.fingerprint())) is not None:
            return earlier
        raise
    completed = _complete(card, spec, assets, seed=ids.seed() if spec.seed is None else None)
    now = clock.now()
    job = Job(
        id=ids.job_id(),
        tenant=caller.tenant,
        user=caller.user,
        request_id=request_id,
        spec=completed,
        quote_micros=(price := card.quote(completed)) + catalog.allowance(completed),
        price_micros=price,
        create_time=now,
        expire_time=now + timedelta(milliseconds=completed.timeout_ms or card.default_timeout_ms),
    )
    # The fingerprint is of the spec as asked: a repeat with an unset seed must match though the seed was drawn.
    admitted = await store.admit(job, spec.fingerprint(), caller.plan, card.backend)
    if admitted.id == job.id:  # not a repeat
        meter.admitted(admitted)
    return admitted


async def preview(spec: Spec, caller: Caller, *, catalog: Catalog, store: Store) -> Preview:
    """Tells what `admit` would do; charges, reserves and stores nothing.

    Raises: InvalidSpec, NotFound, QuotaExceeded, as `admit`.
    """
    card, assets = await _check(spec, caller, catalog, store)
    completed = _complete(card, spec, assets, seed=None)
    quote = card.quote(completed) + catalog.allowance(completed)
    usage, _ = await store.usage(caller.tenant, caller.user, caller.plan)
    with_it = usage.counting(quote)
    quota.check(caller.plan, with_it, quote)
    return Preview(completed, card, quote, with_it, card.frames(completed))


def _complete(card: ModelCard, spec: Spec, assets: Mapping[str, Asset], *, seed: int | None) -> Spec:
    image, audio = assets.get("image"), assets.get("audio")
    return card.complete(
        spec,
        seed=seed,
        picture=image.info if image is not None and isinstance(image.info, PictureInfo) else None,
        # Rounded up: a vendor bills a second that has begun.
        audio_ms=math.ceil(audio.info.duration_s * 1000) if audio and isinstance(audio.info, AudioInfo) else None,
    )


async def _check(spec: Spec, caller: Caller, catalog: Catalog, store: Store) -> tuple[ModelCard, Mapping[str, Asset]]:
    """Returns the card that can make a spec, and the spec's assets by role."""
    card = catalog.card_for(spec)
    if wrong := [*card.check(spec), *catalog.unwritable(spec)]:
        raise InvalidSpec(wrong, reason=wrong[0].reason)
    found: dict[str, Asset] = {}
    at = "spec." + spec.operation.kind.replace("-", "_")
    for role, sha256 in assets_of(spec).items():
        try:
            found[role] = await store.asset(sha256, tenant=caller.tenant, user=caller.user)
        except NotFound as error:
            kind = "sound" if role == "audio" else "picture"
            raise NotFound(kind, f"assets/{sha256}", field=f"{at}.{role}") from error
        wrong += _kind(f"{at}.{role}", found[role], AudioInfo if role == "audio" else PictureInfo)
    if not wrong and card.remote is not None:
        wrong = list(card.remote.check_assets(card.id, spec.operation, found))
    if wrong:
        raise InvalidSpec(wrong, reason=wrong[0].reason)
    return card, found


def _kind(field: str, asset: Asset, wanted: type[PictureInfo] | type[AudioInfo]) -> list[Violation]:
    if isinstance(asset.info, wanted):
        return []
    if wanted is PictureInfo:
        what = f"is {asset.info.media_type}; give a picture (PNG, JPEG or WebP)"
        return [Violation(field, what, "ASSET_NOT_A_PICTURE")]
    return [Violation(field, f"is {asset.info.media_type}; give a sound", "ASSET_NOT_A_SOUND")]
