"""Preview: what a job would be and cost, without admitting it."""

from dataclasses import dataclass

from services.orchestrator.admission.model_routing import route
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.candidate_models import Available
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.limits import denial
from services.orchestrator.domain.limits.measure import Demand, Spend
from services.orchestrator.domain.spec import Spec
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.counters import Counters


@dataclass(frozen=True, slots=True)
class Preview:
    """What a job would be."""

    spec: Spec
    """Completed, except for the seed if none was given."""
    card: ModelCard
    quote_micros: int
    budget_left_micros: int | None
    """The smallest rest of a budget after this job; None: no budget is limited."""
    frames: int


async def preview(
    spec: Spec,
    caller: Caller,
    *,
    catalog: Catalog,
    counters: Counters,
    assets: Assets,
    clock: Clock,
    available: Available = lambda _: True,
) -> Preview:
    """Returns what `admit` would do; charges, reserves and stores nothing.

    Raises: InvalidSpec, NotFound, QuotaExceeded, as `admit`.
    """
    routing = await route(spec, caller, catalog=catalog, assets=assets, today=clock.now().date(), available=available)
    spec, card = routing.spec, routing.card
    demand = Demand(
        quote_micros=routing.quote_micros,
        duration_ms=spec.duration_ms or 0,
        operation=spec.operation.kind,
        model=spec.model,
        capability=spec.capability or "",
    )
    statuses = await counters.status(caller)
    denial.check(statuses, demand, caller.plan, caller.calendar.time_zone)
    budgets = [each.left for each in statuses if isinstance(each.limit.measure, Spend) and each.left is not None]
    left = min(budgets) - routing.quote_micros if budgets else None
    return Preview(spec, card, routing.quote_micros, left, card.frames(spec))
