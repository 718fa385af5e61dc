"""PlanService: the plans that hold, and the check of a new file of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import grpc
from i2v.admin.v1 import plan_pb2, plan_pb2_grpc

from services.orchestrator.api import proto_values
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.plan_parser import FILE_BYTES_MOST, plans_of, unknown_names
from services.orchestrator.domain.toml_file import Problem, UnusableTables, decoded, tables_of
from services.reasons import RequestReason


@dataclass(frozen=True, slots=True)
class PlanService(plan_pb2_grpc.PlanServiceServicer):
    """Answers the RPCs of plan.proto, for operators."""

    plans: Mapping[str, Plan]
    """Those that hold now."""
    catalog: Callable[[], Catalog]
    """Returns the catalog that holds now."""

    async def ListPlans(
        self, request: plan_pb2.ListPlansRequest, context: grpc.ServicerContext
    ) -> plan_pb2.ListPlansResponse:
        """Returns all plans."""
        return plan_pb2.ListPlansResponse(plans=_plans(self.plans))

    async def CheckPlans(
        self, request: plan_pb2.CheckPlansRequest, context: grpc.ServicerContext
    ) -> plan_pb2.CheckPlansResponse:
        """Returns what is wrong with a file, or its plans."""
        if len(request.content) > FILE_BYTES_MOST:
            what = f"has {len(request.content)} bytes; a file of plans has at most {FILE_BYTES_MOST}"
            raise proto_values.refuse("content", what, RequestReason.PLANS_FILE_TOO_LARGE)
        return await asyncio.to_thread(_checked, request.content, self.catalog())


def _checked(content: bytes, catalog: Catalog) -> plan_pb2.CheckPlansResponse:
    text = ""
    try:
        text = decoded(content)
        plans = plans_of(tables_of(text))
    except UnusableTables as error:
        return plan_pb2.CheckPlansResponse(problems=_problems(error.located(text).problems))
    named = UnusableTables(unknown_names(plans, catalog)).located(text)
    return plan_pb2.CheckPlansResponse(warnings=_problems(named.problems), plans=_plans(plans))


def _problems(problems: Sequence[Problem]) -> list[plan_pb2.PlansProblem]:
    return [plan_pb2.PlansProblem(line=each.line, message=each.what) for each in problems]


def _plans(plans: Mapping[str, Plan]) -> list[plan_pb2.Plan]:
    return [_plan(plans[name]) for name in sorted(plans)]


def _plan(plan: Plan) -> plan_pb2.Plan:
    return plan_pb2.Plan(
        name=f"plans/{plan.name}",
        display_name=plan.display_name,
        priority=plan.priority,
        weight=plan.weight,
        models=sorted(plan.models or ()),
        operations=sorted(plan.operations or ()),
        resolutions=sorted(plan.resolutions or ()),
        price_most_micros=plan.price_most_micros,
        limits=[
            plan_pb2.PlanLimit(
                measure=limit.measure.key,
                unit=limit.measure.unit,
                subject=limit.subject,
                per=limit.per,
                most=limit.most,
            )
            for limit in plan.limits
        ],
    )
