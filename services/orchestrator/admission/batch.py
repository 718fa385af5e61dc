"""Batches: several jobs in one call, which count together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from services.errors import (
    InvalidInput,
    InvalidSpec,
    LimitReached,
    NotFound,
    PreconditionFailed,
    RequestIdReused,
    ServiceError,
    Unavailable,
    Violation,
)
from services.orchestrator.admission.admit import Admitter, Submission
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job
from services.orchestrator.ports.admissions import NewJob
from services.reasons import RequestReason, ServiceReason
from services.tracing import spans

JOBS_MOST = 100


class Mode(StrEnum):
    """What happens to the other jobs if one is refused."""

    ALL_OR_NOTHING = "all-or-nothing"
    EACH = "each"


Outcome = Job | ServiceError
"""An admitted job, or why it was refused."""
Item = Submission | ServiceError
"""What was asked for, or why it cannot be a submission at all."""


def check(request_ids: Sequence[str]) -> None:
    """Checks the request ids of a batch, in their canonical spelling; empty where one is malformed.

    Raises InvalidInput when two are the same: which of the jobs the caller means would be unknown.
    """
    first: dict[str, int] = {}
    twice = [
        Violation(
            f"jobs[{index}].request_id",
            f"is that of jobs[{first[request_id]}]; give each job a UUID of its own",
            RequestReason.REQUEST_ID_DUPLICATE,
        )
        for index, request_id in enumerate(request_ids)
        if request_id and first.setdefault(request_id, index) != index
    ]
    if twice:
        raise InvalidInput(twice, reason=RequestReason.REQUEST_ID_DUPLICATE)


async def admit_batch(items: Sequence[Item], mode: Mode, caller: Caller, admitter: Admitter) -> Sequence[Outcome]:
    """Admits a batch, and returns an outcome for each job in the same order.

    Raises: as `Admitter.admit`, for ALL_OR_NOTHING alone; the error names the index of the job, and each of its fields.
    """
    if mode is Mode.EACH:
        outcomes = await admit_each(items, caller, admitter)
        admitted = sum(isinstance(each, Job) for each in outcomes)
        admitter.meter.batch(mode, admitted, len(items) - admitted)
        return outcomes
    try:
        jobs = await admit_all(items, caller, admitter)
    except ServiceError:
        admitter.meter.batch(mode, 0, len(items))
        raise
    admitter.meter.batch(mode, len(jobs), 0)
    return jobs


async def admit_each(items: Sequence[Item], caller: Caller, admitter: Admitter) -> list[Outcome]:
    """Admits jobs one after the other, each by itself, and returns an outcome for each.

    Each finds the limits as the ones before have left them, so together they never exceed one. After the database was
    not reached, the rest are not tried: each would wait for it.
    """
    outcomes: list[Outcome] = []
    for item in items:
        try:
            outcomes.append(await admitter.admit(item, caller) if isinstance(item, Submission) else item)
        except ServiceError as error:
            outcomes.append(error)
            if error.reason == ServiceReason.DATABASE_UNAVAILABLE:
                break
    return outcomes + outcomes[-1:] * (len(items) - len(outcomes))


async def admit_all(items: Sequence[Item], caller: Caller, admitter: Admitter) -> list[Job]:
    """Admits all jobs in one transaction, or none, and returns them in the same order.

    Jobs that an earlier call has admitted are returned as they are.

    Raises: as `Admitter.admit`; the error names the index of the job, and each of its fields.
    """
    with spans.begin("admit batch", {"messaging.batch.message_count": len(items)}, spans.Kind.PRODUCER):
        return await _admit_together(items, caller, admitter)


async def _admit_together(items: Sequence[Item], caller: Caller, admitter: Admitter) -> list[Job]:
    prepared: dict[int, NewJob | Job] = {}
    refused: dict[int, ServiceError] = {}
    ahead = Counter[str]()
    for index, item in enumerate(items):
        try:
            if not isinstance(item, Submission):
                raise item
            new_or_earlier = await admitter.prepare(item, caller, ahead=ahead)
        except (Unavailable, LimitReached):
            raise  # waiting helps, so it is no fault of the request
        except ServiceError as error:
            refused[index] = error
        else:
            prepared[index] = new_or_earlier
            if isinstance(new_or_earlier, NewJob):
                ahead[new_or_earlier.backend] += 1
    if refused:
        raise _joined(refused)
    new = {index: job for index, job in prepared.items() if isinstance(job, NewJob)}
    try:
        admitted = await admitter.admissions.admit_all(list(new.values()), caller) if new else []
    except RequestIdReused as error:
        reused = error.metadata["request_id"]
        raise _of_job(next(index for index, each in new.items() if each.job.request_id == reused), error) from error
    for asked, job in zip(new.values(), admitted, strict=True):
        if job.id == asked.job.id:  # not a repeat
            admitter.meter.admitted(job)
            admitter.gate.admitted(asked.backend)
    known = {index: job for index, job in prepared.items() if isinstance(job, Job)}
    known |= dict(zip(new, admitted, strict=True))
    return [known[index] for index in range(len(items))]


def _joined(refused: dict[int, ServiceError]) -> ServiceError:
    """Returns one error for all refused jobs: that of the only one, or else every field that is wrong."""
    [(index, first), *more] = refused.items()
    if not more and not isinstance(first, InvalidInput):
        return _of_job(index, first)
    fields = [
        replace(each, field=f"jobs[{index}].{each.field}")
        for index, error in refused.items()
        for each in _violations(error)
    ]
    return InvalidSpec(fields, reason=fields[0].reason)


def _of_job(index: int, error: ServiceError) -> ServiceError:
    """Returns a refusal as one of a job of the batch."""
    at, message = f"jobs[{index}]", f"jobs[{index}]: {error.message}"
    field = f"{at}.{error.metadata['field']}" if "field" in error.metadata else at
    match error:
        case NotFound():
            return NotFound(error.kind, error.name, field=field)
        case PreconditionFailed():
            return PreconditionFailed(message, reason=error.reason, metadata={**error.metadata, "field": field})
        case RequestIdReused():
            return RequestIdReused(message, metadata={**error.metadata, "field": f"{at}.request_id"})
    return error


def _violations(error: ServiceError) -> Sequence[Violation]:
    match error:
        case InvalidInput():
            return error.violations
        case NotFound():
            what = f"is {error.name!r}, which this user does not have; upload it"
            return [Violation(error.metadata.get("field", "spec"), what, RequestReason.NOT_FOUND)]
        case RequestIdReused():
            return [Violation("request_id", error.message, error.reason)]
    return [Violation(error.metadata.get("field", "spec"), error.message, error.reason)]
