"""Preview: what jobs would be and cost, without admitting them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.errors import InvalidSpec, NotFound, Unavailable, Violation
from services.orchestrator.admission.exhausted_models import exhausted_models
from services.orchestrator.admission.model_routing import Drained, Routing, no_drains, route
from services.orchestrator.admission.problems import problems
from services.orchestrator.admission.quotes import Quotes
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.candidate_models import Available
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.limits.asked_limit import AskedLimit, admissible, ask
from services.orchestrator.domain.limits.measure import Demand
from services.orchestrator.domain.price_lines import PriceLine, quote_lines
from services.orchestrator.domain.spec import Spec
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.counters import Counters
from services.reasons import RequestReason


@dataclass(frozen=True, slots=True)
class ExpectedTimes:
    """When a job is expected to begin and to end."""

    start_time: datetime
    end_time: datetime


Forecast = Callable[[Caller, Routing], Awaitable[ExpectedTimes | None]]
"""Returns the expected times of a job that is admitted now; None where they are not known."""


async def no_forecast(caller: Caller, routing: Routing) -> None:
    """Expects nothing."""


@dataclass(frozen=True, slots=True)
class RequestedSpec:
    """A spec as it was requested, and what of it cannot be part of any spec."""

    spec: Spec | None
    """Without what is wrong; None: it has no operation."""
    wrong: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class QuotedJob:
    """What a job without problems would be and cost."""

    routing: Routing
    """Its spec is complete, except for the seed if none was given."""
    lines: list[PriceLine]
    """Their sum is the quote."""
    demand: Demand
    token: str
    token_expire_time: datetime
    expected: ExpectedTimes | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a submission would be answered."""

    quoted: QuotedJob | None
    """None if there are problems."""
    problems: list[Violation]
    admissible: bool
    """Whether it would be admitted now: in a batch, after the ones before."""
    limits: list[AskedLimit] = field(default_factory=list)
    """Every limit of the plan with this job; empty in a batch, which has them."""


@dataclass(frozen=True, slots=True)
class BatchPreview:
    """What a batch would be answered."""

    previews: list[Preview]
    admissible: bool
    """Whether all would be admitted together now."""
    limits: list[AskedLimit]
    """Every limit of the plan with all jobs without problems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewer:
    """Previews jobs. Charges, reserves and stores nothing. Every method raises Unavailable."""

    catalog: Callable[[], Catalog]
    """Returns the catalog that holds now."""
    counters: Counters
    assets: Assets
    quotes: Quotes
    clock: Clock
    available: Available = lambda _: True
    """Returns whether a backend takes work now."""
    drained: Drained = no_drains
    forecast: Forecast = no_forecast

    async def preview(self, requested: RequestedSpec, caller: Caller) -> Preview:
        """Returns what `Admitter.admit` would do."""
        statuses = await self.counters.status(caller)
        exhausted: frozenset[str] = frozenset()
        while True:
            quoted, wrong = await self._examine(requested, caller, exhausted)
            limits = ask(statuses, [quoted.demand] if quoted else [])
            exceeded = [limit.status.limit.measure.key for limit in limits if limit.exceeded]
            of_capability = quoted.routing.spec.models if quoted is not None else None
            more = exhausted_models(exceeded, of_capability or ())
            if not more:
                return Preview(quoted, wrong, not wrong and not exceeded, limits)
            exhausted |= more

    async def preview_batch(self, requested: Sequence[RequestedSpec], caller: Caller) -> BatchPreview:
        """Returns what a batch of these jobs would do."""
        everyone = after_each = ask(await self.counters.status(caller), [])
        previews = []
        for each in requested:
            quoted, wrong = await self._examine(each, caller)
            fits = False
            if quoted is not None:
                everyone = [limit.asking(quoted.demand) for limit in everyone]
                with_this = [limit.asking(quoted.demand) for limit in after_each]
                if fits := admissible(with_this):
                    after_each = with_this
            previews.append(Preview(quoted, wrong, fits))
        clean = all(preview.quoted is not None for preview in previews)
        return BatchPreview(previews, clean and admissible(everyone), everyone)

    async def _examine(
        self, requested: RequestedSpec, caller: Caller, exhausted: frozenset[str] = frozenset()
    ) -> tuple[QuotedJob | None, list[Violation]]:
        """Returns the job, or everything that is wrong with it."""
        spec, wrong = requested.spec, list(requested.wrong)
        if spec is None:
            return None, wrong
        today, catalog = self.clock.now().date(), self.catalog()
        try:
            routing = await route(
                spec,
                caller,
                catalog=catalog,
                assets=self.assets,
                today=today,
                available=self.available,
                drained=self.drained,
                exhausted=exhausted,
            )
        except (InvalidSpec, NotFound) as error:
            wrong += await problems(spec, caller, catalog=catalog, assets=self.assets, today=today)
            # An asset may have come in between: then the error still says what was missing.
            return None, wrong or _violations(error)
        except Unavailable as error:
            if error.reason is not RequestReason.BACKEND_DRAINED:
                raise
            return None, [*wrong, Violation(error.metadata["field"], error.message, error.reason)]
        if wrong:
            return None, wrong
        token, expire_time = await self.quotes.token(routing, caller, spec.fingerprint())
        completed, card = routing.spec, routing.card
        lines = quote_lines(card, completed, routing.quote_micros, catalog.allowance(completed))
        demand = Demand(
            quote_micros=routing.quote_micros,
            duration_ms=completed.duration_ms or 0,
            operation=completed.operation.kind,
            models=completed.models or (completed.model,),
            capability=routing.capability,
        )
        return QuotedJob(routing, lines, demand, token, expire_time, await self.forecast(caller, routing)), []


def _violations(error: InvalidSpec | NotFound) -> list[Violation]:
    if isinstance(error, InvalidSpec):
        return list(error.violations)
    return [Violation(error.metadata.get("field", "spec"), error.message, error.reason)]
