"""Admission: the only way a job comes into being.

A job that exists has passed every check here and its price is already set aside. One transaction covers all of it, so
a crash leaves nothing, or an admitted job.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from services.errors import InvalidSpec, NotFound, ServiceError, Violation
from services.orchestrator.domain import plan_rules, route
from services.orchestrator.domain.account import Usage
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.card import ModelCard, assets_of
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo
from services.orchestrator.domain.route import Available
from services.orchestrator.domain.spec import Spec
from services.orchestrator.ports.accounts import Accounts
from services.orchestrator.ports.admissions import Admissions
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.clock_and_ids import Clock, Ids
from services.orchestrator.ports.disk_space import Room, any_room
from services.orchestrator.ports.meter import Meter


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
    spec: Spec,
    caller: Caller,
    *,
    request_id: str,
    catalog: Catalog,
    admissions: Admissions,
    assets: Assets,
    clock: Clock,
    ids: Ids,
    meter: Meter,
    available: Available = lambda _: True,
    room: Room = any_room,
) -> Job:
    """Admits one job and returns it QUEUED. `available` tells whether a backend takes work now.

    Idempotent per (tenant, user, request_id): a repeat returns the first job and charges nothing.

    Raises:
        InvalidSpec: the spec is malformed, or beyond the model's limits; names each field.
        NotFound: a picture or a sound is not an asset of this user.
        QuotaExceeded: a rule of the plan refused; metadata says which limit and when it resets.
        RequestIdReused: the same request_id came with a different spec.
        Unavailable: there is too little disk space for its files.
    """
    try:
        room(0)
        routed = await _route(spec, caller, catalog, assets, clock.now().date(), available)
    except ServiceError:
        # What was admitted once stays the answer, though its card or picture may be gone since.
        if (earlier := await admissions.repeat(caller.tenant, caller.user, request_id, spec.fingerprint())) is not None:
            return earlier
        raise
    card = routed.card
    completed = card.fill(spec, routed.assets, seed=ids.seed() if spec.seed is None else None)
    completed = replace(completed, model=card.id, timeout_ms=routed.timeout_ms)
    now = clock.now()
    job = Job(
        id=ids.job_id(),
        tenant=caller.tenant,
        user=caller.user,
        request_id=request_id,
        spec=completed,
        quote_micros=routed.most_micros + catalog.allowance(completed),
        price_micros=card.quote(completed),
        create_time=now,
        expire_time=now + timedelta(milliseconds=routed.timeout_ms),
    )
    # The fingerprint is of the spec as asked: a repeat with an unset seed must match though the seed was drawn.
    admitted = await admissions.admit(job, spec.fingerprint(), caller.plan, card.backend)
    if admitted.id == job.id:  # not a repeat
        meter.admitted(admitted)
    return admitted


async def preview(
    spec: Spec,
    caller: Caller,
    *,
    catalog: Catalog,
    accounts: Accounts,
    assets: Assets,
    clock: Clock,
    available: Available = lambda _: True,
) -> Preview:
    """Tells what `admit` would do; charges, reserves and stores nothing.

    Raises: InvalidSpec, NotFound, QuotaExceeded, as `admit`.
    """
    routed = await _route(spec, caller, catalog, assets, clock.now().date(), available)
    card = routed.card
    completed = replace(card.fill(spec, routed.assets, seed=None), model=card.id, timeout_ms=routed.timeout_ms)
    quote = routed.most_micros + catalog.allowance(completed)
    statement = await accounts.statement(caller.tenant, caller.user, caller.plan)
    with_it = statement.usage.counting(quote)
    plan_rules.check(caller.plan, with_it, quote)
    return Preview(completed, card, quote, with_it, card.frames(completed))


@dataclass(frozen=True, slots=True)
class _Routed:
    """The model that is asked first; what the dearest that may be asked costs, and how long the slowest may take."""

    card: ModelCard
    assets: Mapping[str, Asset]
    most_micros: int
    timeout_ms: int


async def _route(
    spec: Spec, caller: Caller, catalog: Catalog, known: Assets, today: date, available: Available
) -> _Routed:
    """Finds who can make a spec. Raises InvalidSpec, NotFound."""
    if spec.capability is None:
        card = catalog.card_for(spec)
        gone = route.standing(card, today)
        if wrong := [*([gone] if gone else []), *card.check(spec), *catalog.unwritable(spec), *_priced(spec)]:
            raise InvalidSpec(wrong, reason=wrong[0].reason)
        assets = await _assets(spec, caller, known)
        if wrong := route.check(card, spec, assets):
            raise InvalidSpec(wrong, reason=wrong[0].reason)
        completed = card.fill(spec, assets, seed=None)
        return _Routed(card, assets, card.quote(completed), completed.timeout_ms or card.default_timeout_ms)
    if spec.model:
        both = Violation("spec.capability", "comes together with a model; give one of them", "MODEL_AND_CAPABILITY")
        raise InvalidSpec([both], reason=both.reason)
    if wrong := catalog.unwritable(spec):
        raise InvalidSpec(wrong, reason=wrong[0].reason)
    route.candidates(catalog, spec, {}, today, available)  # what is wrong without its assets, before they are sought
    assets = await _assets(spec, caller, known)
    able = route.candidates(catalog, spec, assets, today, available)
    dearest = max(route.price_of(card, spec, assets) for card in able)
    # The deadline does not move when another model is asked: it has room for the slowest, not for one after another.
    slowest_ms = max(card.fill(spec, assets, seed=None).timeout_ms or card.default_timeout_ms for card in able)
    return _Routed(able[0], assets, dearest, slowest_ms)


def _priced(spec: Spec) -> list[Violation]:
    if spec.price_most_micros is None:
        return []
    what = "goes with a capability; a model has its price, and PreviewJob tells it"
    return [Violation("spec.price_max", what, "PARAMETER_UNSUPPORTED")]


async def _assets(spec: Spec, caller: Caller, known: Assets) -> Mapping[str, Asset]:
    """Returns a spec's assets by role. Raises NotFound, and InvalidSpec where one is of another kind."""
    found: dict[str, Asset] = {}
    wrong: list[Violation] = []
    at = "spec." + spec.operation.kind.replace("-", "_")
    for role, sha256 in assets_of(spec).items():
        try:
            found[role] = await known.get(sha256, tenant=caller.tenant, user=caller.user)
        except NotFound as error:
            kind = "sound" if role == "audio" else "picture"
            raise NotFound(kind, f"assets/{sha256}", field=f"{at}.{role}") from error
        wrong += _kind(f"{at}.{role}", found[role], AudioInfo if role == "audio" else PictureInfo)
    if wrong:
        raise InvalidSpec(wrong, reason=wrong[0].reason)
    return found


def _kind(field: str, asset: Asset, wanted: type[PictureInfo] | type[AudioInfo]) -> list[Violation]:
    if isinstance(asset.info, wanted):
        return []
    if wanted is PictureInfo:
        what = f"is {asset.info.media_type}; give a picture"
        return [Violation(field, what, "ASSET_NOT_A_PICTURE")]
    return [Violation(field, f"is {asset.info.media_type}; give a sound", "ASSET_NOT_A_SOUND")]
