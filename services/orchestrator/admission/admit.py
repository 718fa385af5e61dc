"""Admission: the only way a job comes into being.

A job that exists has passed every check here and its price is already set aside. One transaction covers all of it, so
a crash leaves nothing, or an admitted job.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.errors import QuotaExceeded, ServiceError
from services.orchestrator.admission.exhausted_models import exhausted_models
from services.orchestrator.admission.model_routing import Drained, no_drains, route
from services.orchestrator.admission.queue_gate import QueueGate
from services.orchestrator.admission.quotes import Quotes
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.candidate_models import Available
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.quote_token import quote_id
from services.orchestrator.domain.spec import Spec
from services.orchestrator.ports.admissions import Admissions, NewJob
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.clock_and_ids import Clock, Ids
from services.orchestrator.ports.disk_space import Room, any_room
from services.orchestrator.ports.meter import Meter
from services.tracing import spans


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a caller wants to have made."""

    spec: Spec
    request_id: str
    quote_token: str = ""
    """Of a preview: the job is admitted only at its price. Empty: at the price of now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitter:
    """Admits jobs."""

    catalog: Callable[[], Catalog]
    """Returns the catalog that holds now."""
    admissions: Admissions
    assets: Assets
    quotes: Quotes
    gate: QueueGate
    clock: Clock
    ids: Ids
    meter: Meter
    available: Available = lambda _: True
    """Returns whether a backend takes work now."""
    drained: Drained = no_drains
    room: Room = any_room

    async def admit(self, submission: Submission, caller: Caller) -> Job:
        """Admits one job and returns it QUEUED.

        Idempotent per (tenant, user, request_id): a repeat returns the first job and charges nothing.

        Raises:
            InvalidSpec: the spec is malformed, or beyond the model's limits; names each field.
            NotFound: a picture or a sound is not an asset of this user.
            PreconditionFailed: the quote does not hold for this job; metadata says what it costs now. Or the job cannot
                begin or end in its time; metadata says when it would.
            LimitReached: too many jobs wait; metadata says how long this one would.
            QuotaExceeded: limits of the plan refused; its violations name each, with what is used and when it resets.
            RequestIdReused: the same request_id came with a different spec.
            Unavailable: there is too little disk space for its files, or the model's backend is drained.
        """
        with spans.begin("admit", kind=spans.Kind.PRODUCER) as span:
            job = await self._admit(submission, caller)
            span.set("i2v.job", job.id)
            return job

    async def _admit(self, submission: Submission, caller: Caller) -> Job:
        exhausted: frozenset[str] = frozenset()
        while True:
            new = await self.prepare(submission, caller, exhausted)
            if isinstance(new, Job):
                return new
            try:
                admitted = await self.admissions.admit(new.job, new.fingerprint, caller, new.backend)
            except QuotaExceeded as error:
                more = exhausted_models((each.measure for each in error.violations), new.job.spec.models or ())
                if not more:
                    raise
                exhausted |= more  # each round leaves fewer models
                continue
            if admitted.id == new.job.id:  # not a repeat
                self.meter.admitted(admitted)
                self.gate.admitted(new.backend)
            return admitted

    async def prepare(
        self,
        submission: Submission,
        caller: Caller,
        exhausted: frozenset[str] = frozenset(),
        ahead: Mapping[str, int] | None = None,
    ) -> NewJob | Job:
        """Returns the job that a submission makes, not yet admitted; or the job that an earlier one has made.

        `exhausted` models of a capability are left out. `ahead` has the jobs, by backend, that are prepared and not
        yet admitted.

        Raises: as `admit`, except QuotaExceeded.
        """
        # The fingerprint is of the spec as requested: a repeat without a seed must match, though a seed was drawn.
        spec, fingerprint = submission.spec, submission.spec.fingerprint()
        seed = self.ids.seed() if spec.seed is None else None
        try:
            self.room(0)
            routing = await route(
                spec,
                caller,
                catalog=self.catalog(),
                assets=self.assets,
                today=self.clock.now().date(),
                available=self.available,
                drained=self.drained,
                seed=seed,
                exhausted=exhausted,
            )
            await self.quotes.check(submission.quote_token, routing, caller, fingerprint)
            now = self.clock.now()
            job = Job(
                id=self.ids.job_id(),
                tenant=caller.tenant,
                user=caller.user,
                key=caller.key,
                request_id=submission.request_id,
                spec=routing.spec,
                quote_micros=routing.quote_micros,
                price_micros=routing.price_micros,
                create_time=now,
                expire_time=now + timedelta(milliseconds=routing.timeout_ms),
                capability=routing.capability,
                card_version=routing.card_version,
                quote_id=quote_id(submission.quote_token),
                trace_context=spans.text_of_current(),
            )
            await self.gate.check(job, caller, routing.card.backend, ahead)
        except ServiceError:
            # A repeat gets the first answer, even if the model, an asset or the quote is gone, or the queue is full.
            earlier = await self.admissions.repeat(caller.tenant, caller.user, submission.request_id, fingerprint)
            if earlier is not None:
                return earlier
            raise
        return NewJob(job, fingerprint, routing.card.backend)
