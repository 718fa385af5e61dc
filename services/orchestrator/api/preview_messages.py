"""Proto from domain: what jobs would be, cost and leave."""

from collections.abc import Sequence

from i2v.v1 import job_pb2

from services.errors import Violation
from services.orchestrator.admission.preview import BatchPreview, Preview
from services.orchestrator.api import proto_values, spec_messages
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.limits import denial
from services.orchestrator.domain.limits.asked_limit import AskedLimit
from services.orchestrator.domain.limits.measure import Spend, Unit
from services.orchestrator.domain.price_lines import LineKind, PriceLine

TEXT_CHARACTERS = 400
"""Of a problem, whose text may repeat parts of the request."""
KINDS = {
    LineKind.VIDEO_SECONDS: job_pb2.PriceLine.VIDEO_SECONDS,
    LineKind.MINIMUM_SECONDS: job_pb2.PriceLine.MINIMUM_SECONDS,
    LineKind.VIDEO: job_pb2.PriceLine.VIDEO,
    LineKind.PROMPT: job_pb2.PriceLine.PROMPT,
    LineKind.FALLBACK_MODEL: job_pb2.PriceLine.FALLBACK_MODEL,
}
UNITS = {
    Unit.MICROS: job_pb2.LimitStatus.MICROS,
    Unit.JOBS: job_pb2.LimitStatus.JOBS,
    Unit.MILLISECONDS: job_pb2.LimitStatus.MILLISECONDS,
    Unit.BYTES: job_pb2.LimitStatus.BYTES,
}


def preview(found: Preview, asked: job_pb2.JobSpec, caller: Caller, queued_jobs: int) -> job_pb2.PreviewJobResponse:
    """Returns what a job would be. `queued_jobs` wait for the same workers."""
    result = job_pb2.PreviewJobResponse(
        admissible=found.admissible,
        problems=[_problem(each) for each in found.problems],
        limits=[limit(each, caller) for each in found.limits],
    )
    left = [
        each.left for each in found.limits if isinstance(each.status.limit.measure, Spend) and each.left is not None
    ]
    if left:
        result.budget_left.CopyFrom(proto_values.money(min(left)))
    quoted = found.quoted
    if quoted is None:
        result.spec.CopyFrom(asked)
        return result
    routing = quoted.routing
    result.spec.CopyFrom(spec_messages.to_pb(routing.spec))
    result.quote.CopyFrom(proto_values.money(routing.quote_micros))
    result.lines.extend(_line(each) for each in quoted.lines)
    result.frames, result.queued_jobs = routing.card.frames(routing.spec), queued_jobs
    result.quote_token, result.card_version = quoted.token, routing.card_version
    result.quote_expire_time.CopyFrom(proto_values.timestamp(quoted.token_expire_time))
    if quoted.expected is not None:
        result.expected_start_time.CopyFrom(proto_values.timestamp(quoted.expected.start_time))
        result.expected_end_time.CopyFrom(proto_values.timestamp(quoted.expected.end_time))
    return result


def batch(
    found: BatchPreview, asked: Sequence[job_pb2.JobSpec], caller: Caller, queued_jobs: Sequence[int]
) -> job_pb2.PreviewJobsResponse:
    """Returns what a batch would be."""
    total = sum(each.quoted.routing.quote_micros for each in found.previews if each.quoted is not None)
    return job_pb2.PreviewJobsResponse(
        jobs=[
            preview(each, spec, caller, waiting)
            for each, spec, waiting in zip(found.previews, asked, queued_jobs, strict=True)
        ],
        admissible=found.admissible,
        quote=proto_values.money(total),
        limits=[limit(each, caller) for each in found.limits],
    )


def limit(asked: AskedLimit, caller: Caller) -> job_pb2.LimitStatus:
    """Returns the state of a limit, with what is asked of it."""
    status = asked.status
    result = job_pb2.LimitStatus(
        subject=status.limit.subject.value,
        measure=status.limit.measure.key,
        per=status.limit.per.value,
        unit=UNITS[status.limit.measure.unit],
        limit=status.most,
        used=status.used,
        held=status.held,
        asked=asked.asked or 0,
        left=asked.left,
        exceeded=asked.exceeded,
        warned_percent=status.warned_percent,
    )
    if status.period.end is not None:
        result.reset_time.CopyFrom(proto_values.timestamp(status.period.end))
    if asked.exceeded:
        violation = denial.violation(asked, caller.plan, caller.calendar.time_zone)
        result.message, result.reason = violation.description, violation.reason
    return result


def _problem(violation: Violation) -> job_pb2.FieldProblem:
    return job_pb2.FieldProblem(
        field=violation.field[:TEXT_CHARACTERS],
        description=violation.description[:TEXT_CHARACTERS],
        reason=violation.reason,
    )


def _line(line: PriceLine) -> job_pb2.PriceLine:
    return job_pb2.PriceLine(
        kind=KINDS[line.kind],
        description=line.description,
        quantity=line.quantity,
        unit_price=proto_values.money(line.unit_price_micros),
        amount=proto_values.money(line.amount_micros),
    )
