"""Admission: the only way a job comes into being.

A job that exists has passed every check here and its price is already set aside. One transaction covers all of it, so
a crash leaves nothing, or an admitted job.
"""

from dataclasses import dataclass
from datetime import timedelta

from services.errors import InvalidSpec, NotFound, ServiceError, Violation
from services.orchestrator.domain import quota
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.media import PictureInfo
from services.orchestrator.domain.quota import Plan, Usage
from services.orchestrator.domain.spec import ImageToVideo, Spec
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
        NotFound: the picture is not an asset of this user.
        QuotaExceeded: a rule of the plan refused; metadata says which limit and when it resets.
        RequestIdReused: the same request_id came with a different spec.
    """
    try:
        card, picture = await _check(spec, caller, catalog, store)
    except ServiceError:
        # What was admitted once stays the answer, though its card or picture may be gone since.
        if (earlier := await store.repeat(caller.tenant, caller.user, request_id, spec.fingerprint())) is not None:
            return earlier
        raise
    completed = card.complete(spec, seed=ids.seed() if spec.seed is None else None, picture=picture)
    now = clock.now()
    job = Job(
        id=ids.job_id(),
        tenant=caller.tenant,
        user=caller.user,
        request_id=request_id,
        spec=completed,
        quote_micros=(quote := card.quote(completed)),
        price_micros=quote,
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
    card, picture = await _check(spec, caller, catalog, store)
    completed = card.complete(spec, seed=None, picture=picture)
    quote = card.quote(completed)
    usage, _ = await store.usage(caller.tenant, caller.user, caller.plan)
    with_it = usage.counting(quote)
    quota.check(caller.plan, with_it, quote)
    return Preview(completed, card, quote, with_it, card.frames(completed))


async def _check(spec: Spec, caller: Caller, catalog: Catalog, store: Store) -> tuple[ModelCard, PictureInfo | None]:
    card = catalog.card_for(spec)
    if wrong := card.check(spec):
        raise InvalidSpec(wrong, reason=wrong[0].reason)
    if not isinstance(spec.operation, ImageToVideo):
        return card, None
    try:
        asset = await store.asset(spec.operation.image, tenant=caller.tenant, user=caller.user)
    except NotFound as error:
        raise NotFound("picture", f"assets/{spec.operation.image}", field="spec.image_to_video.image") from error
    if not isinstance(asset.info, PictureInfo):
        raise InvalidSpec(
            [
                Violation(
                    "spec.image_to_video.image",
                    f"is {asset.info.media_type}; give a picture (PNG, JPEG or WebP)",
                    "ASSET_NOT_A_PICTURE",
                )
            ],
            reason="ASSET_NOT_A_PICTURE",
        )
    return card, asset.info
