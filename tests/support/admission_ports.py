"""The ports of an admission in memory: assets, counters, secrets and admissions that a test arranges."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from prometheus_client import CollectorRegistry

from services.errors import NotFound, PreconditionFailed, RequestIdReused, Unavailable
from services.orchestrator.admission.admit import Admitter
from services.orchestrator.admission.preview import Previewer
from services.orchestrator.admission.queue_forecasts import QueueForecasts
from services.orchestrator.admission.queue_gate import QueueGate
from services.orchestrator.admission.quotes import Quotes
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits import denial
from services.orchestrator.domain.limits.asked_limit import ask
from services.orchestrator.domain.limits.hold import demand_of
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.ports.admissions import NewJob
from services.reasons import RequestReason, ServiceReason
from tests.support.builders import NOON, FakeClock, a_catalog, a_plan
from tests.support.memory_queues import MemoryQueues

PICTURE, SOUND = "a" * 64, "b" * 64
CALLER = Caller("studio", "ann", a_plan())


class MemoryAssets:
    """A picture, and a sound of two seconds."""

    async def get(self, sha256: str, *, tenant: str, user: str, also_hidden: bool = False) -> Asset:
        infos = {PICTURE: PictureInfo("image/png", 640, 480), SOUND: AudioInfo("audio/mpeg", 2.0, 44100, 2)}
        if sha256 not in infos:
            raise NotFound("asset", sha256)
        return Asset(tenant, user, sha256, 1000, infos[sha256], NOON)

    async def put(self, asset: Asset) -> Asset:
        return asset


@dataclass
class MemoryCounters:
    """Limits as a test has set them."""

    statuses: list[LimitStatus] = field(default_factory=list)

    async def status(self, caller: Caller) -> Sequence[LimitStatus]:
        return self.statuses

    async def audit(self) -> int:
        return 0


class MemorySecrets:
    """One secret for each name."""

    async def secret(self, name: str) -> bytes:
        return name.encode().ljust(32)


@dataclass
class MemoryAdmissions:
    """Room for so many jobs."""

    room: int = 1000
    jobs: dict[str, tuple[Job, str]] = field(default_factory=dict)
    """Job and fingerprint by request_id."""
    calls: int = 0
    away_after: int | None = None
    """Calls after which there is no database."""
    counters: MemoryCounters = field(default_factory=MemoryCounters)

    async def admit(self, job: Job, fingerprint: str, caller: Caller, backend: str) -> Job:
        (admitted,) = await self.admit_all([NewJob(job, fingerprint, backend)], caller)
        return admitted

    async def admit_all(self, new: Sequence[NewJob], caller: Caller) -> list[Job]:
        self.calls += 1
        if self.away_after is not None and self.calls > self.away_after:
            raise Unavailable("The database is away.", reason=ServiceReason.DATABASE_UNAVAILABLE)
        earlier = {
            each.job.request_id: await self.repeat("", "", each.job.request_id, each.fingerprint) for each in new
        }
        fresh = [each for each in new if earlier[each.job.request_id] is None]
        denial.check(
            ask(self.counters.statuses, [demand_of(each.job) for each in fresh]), caller.plan, caller.calendar.time_zone
        )
        if len(self.jobs) + len(fresh) > self.room:
            raise PreconditionFailed("There is no room.", reason=RequestReason.USER_ACTIVE_JOBS_EXCEEDED)
        for each in fresh:
            self.jobs[each.job.request_id] = replace(each.job, last_sequence=1), each.fingerprint
        return [self.jobs[each.job.request_id][0] for each in new]

    async def repeat(self, tenant: str, user: str, request_id: str, fingerprint: str) -> Job | None:
        job, first = self.jobs.get(request_id, (None, ""))
        if job is not None and first != fingerprint:
            raise RequestIdReused(metadata={"request_id": request_id, "job": f"jobs/{job.id}"})
        return job


class CountingIds:
    """Ids in order, and always the same seed."""

    def __init__(self) -> None:
        self._last = 0

    def job_id(self) -> str:
        self._last += 1
        return f"{self._last:032x}"

    def seed(self) -> int:
        return 7


@dataclass
class AdmissionPorts:
    """An admitter and a previewer over the same ports."""

    catalog: Catalog = field(default_factory=a_catalog)
    counters: MemoryCounters = field(default_factory=MemoryCounters)
    admissions: MemoryAdmissions = field(default_factory=MemoryAdmissions)
    clock: FakeClock = field(default_factory=FakeClock)
    ids: CountingIds = field(default_factory=CountingIds)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.admissions.counters = self.counters
        self.meter = PrometheusMeter(self.registry)
        queues = MemoryQueues()
        self.gate = QueueGate(
            queues, QueueForecasts(queues, self.meter), self.meter, most_of_backend=1000, most_of_all=1000
        )
        self.quotes = Quotes(MemorySecrets(), self.clock, self.meter, timedelta(minutes=15))

    @property
    def admitter(self) -> Admitter:
        return Admitter(
            catalog=lambda: self.catalog,
            admissions=self.admissions,
            assets=MemoryAssets(),
            quotes=self.quotes,
            gate=self.gate,
            clock=self.clock,
            ids=self.ids,
            meter=self.meter,
        )

    @property
    def previewer(self) -> Previewer:
        return Previewer(
            catalog=lambda: self.catalog,
            counters=self.counters,
            assets=MemoryAssets(),
            quotes=self.quotes,
            clock=self.clock,
        )
