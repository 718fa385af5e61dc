"""Preview: what a job would be and cost, without admitting it."""

from dataclasses import dataclass

from services.orchestrator.admission.model_routing import route
from services.orchestrator.domain import plan_rules
from services.orchestrator.domain.account import Usage
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.candidate_models import Available
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.spec import Spec
from services.orchestrator.ports.accounts import Accounts
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.clock_and_ids import Clock


@dataclass(frozen=True, slots=True)
class Preview:
    """What a job would be."""

    spec: Spec
    """Completed, except for the seed if none was given."""
    card: ModelCard
    quote_micros: int
    usage: Usage
    """With this job counted in."""
    frames: int


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
    """Returns what `admit` would do; charges, reserves and stores nothing.

    Raises: InvalidSpec, NotFound, QuotaExceeded, as `admit`.
    """
    routing = await route(spec, caller, catalog=catalog, assets=assets, today=clock.now().date(), available=available)
    statement = await accounts.statement(caller.tenant, caller.user, caller.plan)
    with_job = statement.usage.counting(routing.quote_micros)
    plan_rules.check(caller.plan, with_job, routing.quote_micros)
    return Preview(routing.spec, routing.card, routing.quote_micros, with_job, routing.card.frames(routing.spec))
