"""Proto to domain and back for batches of jobs."""

from collections.abc import Sequence

from google.protobuf.message import Message
from i2v.v1 import job_pb2

from services.errors import InvalidInput, InvalidSpec, Violation
from services.orchestrator.admission import batch
from services.orchestrator.admission.admit import Submission
from services.orchestrator.admission.batch import Item, Mode, Outcome
from services.orchestrator.api import job_messages, proto_values, spec_messages
from services.orchestrator.domain.job import Job
from services.reasons import RequestReason
from services.rpc import status_codes

REQUEST_BYTES = 1024 * 1024
"""Of a batch. The answer repeats the specs, prompts even twice, and has to stay below 4 MiB."""

MODES = {job_pb2.SubmitJobsRequest.ALL_OR_NOTHING: Mode.ALL_OR_NOTHING, job_pb2.SubmitJobsRequest.EACH: Mode.EACH}


def check(request: Message, count: int, field: str) -> None:
    """Raises InvalidInput when a batch has too few or too many jobs, or is too large."""
    if not 1 <= count <= batch.JOBS_MOST:
        what = f"has {count} jobs; 1 to {batch.JOBS_MOST} are allowed"
        raise proto_values.refuse(field, what, RequestReason.BATCH_SIZE_OUT_OF_RANGE)
    if (size := request.ByteSize()) > REQUEST_BYTES:
        what = f"has {size} bytes; at most {REQUEST_BYTES} are allowed. Split the batch"
        raise proto_values.refuse(field, what, RequestReason.BATCH_TOO_LARGE)


def mode(given: "job_pb2.SubmitJobsRequest.Mode.ValueType") -> Mode:
    """Returns how a batch is admitted. Raises InvalidInput when the request does not say."""
    if given not in MODES:
        what = f"is {given}" if given else "is missing"
        raise proto_values.refuse("mode", f"{what}; give ALL_OR_NOTHING or EACH", RequestReason.BATCH_MODE_UNKNOWN)
    return MODES[given]


def items(requests: Sequence[job_pb2.SubmitJobRequest]) -> list[Item]:
    """Returns the submissions of a batch; in place of one that cannot be one, everything that is wrong with it.

    Raises InvalidInput when two have the same request_id.
    """
    batch.check([_request_id(request) for request in requests])
    return [_item(request) for request in requests]


def _request_id(request: job_pb2.SubmitJobRequest) -> str:
    """Returns the request_id in its canonical spelling; empty if it is malformed."""
    try:
        return proto_values.request_id(request.request_id)
    except InvalidInput:
        return ""


def _item(request: job_pb2.SubmitJobRequest) -> Item:
    wrong: list[Violation] = []
    spec = spec_messages.requested(request.spec)
    try:
        request_id = proto_values.request_id(request.request_id)
    except InvalidInput as error:
        wrong += error.violations
    wrong += spec.wrong
    if wrong or spec.spec is None:
        return InvalidSpec(wrong, reason=wrong[0].reason)
    return Submission(spec=spec.spec, request_id=request_id, quote_token=request.quote_token)


def results(outcomes: Sequence[Outcome]) -> job_pb2.SubmitJobsResponse:
    """Returns what became of the jobs."""
    return job_pb2.SubmitJobsResponse(results=[_result(each) for each in outcomes])


def _result(outcome: Outcome) -> job_pb2.SubmitJobResult:
    if isinstance(outcome, Job):
        return job_pb2.SubmitJobResult(job=job_messages.job(outcome))
    status = status_codes.to_status(outcome)
    return job_pb2.SubmitJobResult(
        error=job_pb2.Status(code=status.code, message=status.message, details=status.details)
    )
