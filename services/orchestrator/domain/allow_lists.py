"""What a plan allows: its models, operations and resolutions, and the highest price of one job."""

from collections.abc import Collection

from services.errors import Violation
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.price import show
from services.orchestrator.domain.spec import Spec
from services.reasons import SpecReason

SHOWN_MOST = 20
"""Names of an allow-list that a message shows."""


def beyond_plan(plan: Plan, card: ModelCard, spec: Spec, price_micros: int = 0) -> list[Violation]:
    """Returns everything about a job of this model that its plan does not allow.

    The spec may be as requested, or completed: what it leaves open is not checked. A model whose resolution the vendor
    decides has none that could be refused.
    """
    wrong: list[Violation] = []
    name, kind = f"the plan {plan.name!r}", spec.operation.kind
    if plan.models is not None and card.id not in plan.models:
        field = "spec.capability" if spec.capability is not None else "spec.model"
        what = f"is made by {card.id!r}" if spec.capability is not None else f"is {card.id!r}"
        wrong.append(Violation(field, f"{what}; {name} allows {_listed(plan.models)}", SpecReason.MODEL_NOT_IN_PLAN))
    if plan.operations is not None and kind not in plan.operations:
        what = f"is not in {name}, which allows {_listed(plan.operations)}"
        wrong.append(Violation("spec." + kind.replace("-", "_"), what, SpecReason.OPERATION_NOT_IN_PLAN))
    resolution = spec.resolution or (str(spec.size) if spec.size is not None else None)
    if plan.resolutions is not None and resolution is not None and resolution not in plan.resolutions:
        field = "spec.resolution" if spec.resolution else "spec.size"
        what = f"is {resolution[:40]}; {name} allows {_listed(plan.resolutions)}"
        wrong.append(Violation(field, what, SpecReason.RESOLUTION_NOT_IN_PLAN))
    if plan.price_most_micros is not None and price_micros > plan.price_most_micros:
        what = f"costs {show(price_micros)} with {card.id!r}; {name} allows {show(plan.price_most_micros)} for one job"
        wrong.append(Violation("spec", what, SpecReason.PRICE_NOT_IN_PLAN))
    return wrong


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)[:SHOWN_MOST]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
