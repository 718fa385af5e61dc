"""The search for another model of a capability, after a vendor could not take the job for a reason of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from services.errors import InvalidSpec
from services.orchestrator.domain.candidate_models import Available, candidates
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.event import JobError, Rerouted
from services.orchestrator.domain.job import Job
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.clock_and_ids import Clock


@dataclass(frozen=True, slots=True)
class FallbackModels:
    """Finds models that can take over a job."""

    assets: Assets
    catalog: Callable[[], Catalog]
    """Returns the catalog that holds now."""
    clock: Clock
    available: Available
    """Whether a backend takes work now."""

    async def find(self, job: Job, error: JobError) -> Rerouted | None:
        """Returns the change to the best model that was not tried yet and that the quote covers; None without one.

        Only models that could be used at the job's admission count: its plan allows them. `error` is why the current
        model cannot make the video. Raises Unavailable.
        """
        if job.spec.capability is None:
            return None
        roles = job.spec.operation.assets.items()
        assets = {
            role: await self.assets.get(sha256, tenant=job.tenant, user=job.user, also_hidden=True)
            for role, sha256 in roles
        }
        catalog = self.catalog()
        tried = (*job.tried, job.spec.model)
        allowed = job.spec.models if job.spec.models is not None else catalog.cards
        untried = [card for card in catalog if card.id not in tried and card.id in allowed]
        spec = replace(job.spec, price_most_micros=job.quote_micros - catalog.allowance(job.spec))
        try:
            best = candidates(untried, spec, assets, self.clock.now().date(), self.available)[0]
        except InvalidSpec:
            return None
        return Rerouted(best.card.id, best.card.backend, best.price_micros, job.spec.model, error)
