"""Admission: the only way a job comes into being.

A job that exists has passed every check here and its price is already set aside. One transaction covers all of it, so
a crash leaves nothing, or an admitted job.
"""

from datetime import timedelta

from services.errors import ServiceError
from services.orchestrator.admission.model_routing import route
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.candidate_models import Available
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.spec import Spec
from services.orchestrator.ports.admissions import Admissions
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.clock_and_ids import Clock, Ids
from services.orchestrator.ports.disk_space import Room, any_room
from services.orchestrator.ports.meter import Meter


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
    """Admits one job and returns it QUEUED. `available` returns whether a backend takes work now.

    Idempotent per (tenant, user, request_id): a repeat returns the first job and charges nothing.

    Raises:
        InvalidSpec: the spec is malformed, or beyond the model's limits; names each field.
        NotFound: a picture or a sound is not an asset of this user.
        QuotaExceeded: limits of the plan refused; its violations name each, with what is used and when it resets.
        RequestIdReused: the same request_id came with a different spec.
        Unavailable: there is too little disk space for its files.
    """
    seed = ids.seed() if spec.seed is None else None
    try:
        room(0)
        routing = await route(
            spec, caller, catalog=catalog, assets=assets, today=clock.now().date(), available=available, seed=seed
        )
    except ServiceError:
        # A repeat gets the first answer, even if the model or an asset is gone since.
        if (earlier := await admissions.repeat(caller.tenant, caller.user, request_id, spec.fingerprint())) is not None:
            return earlier
        raise
    now = clock.now()
    job = Job(
        id=ids.job_id(),
        tenant=caller.tenant,
        user=caller.user,
        key=caller.key,
        request_id=request_id,
        spec=routing.spec,
        quote_micros=routing.quote_micros,
        price_micros=routing.price_micros,
        create_time=now,
        expire_time=now + timedelta(milliseconds=routing.timeout_ms),
    )
    # The fingerprint is of the spec as requested: a repeat without a seed must match, though a seed was drawn.
    admitted = await admissions.admit(job, spec.fingerprint(), caller, routing.card.backend)
    if admitted.id == job.id:  # not a repeat
        meter.admitted(admitted)
    return admitted
