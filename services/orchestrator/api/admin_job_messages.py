"""Proto <-> domain, for the jobs of all tenants."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from i2v.admin.v1 import job_pb2

from services.orchestrator.api import admin_messages, job_messages, proto_values
from services.orchestrator.domain.job_record import JobDetails, JobFilter, JobHold, JobRecord, QueueEntry
from services.orchestrator.domain.ledger import Entry
from services.orchestrator.domain.paid_call import PaidCall
from services.reasons import RequestReason

NAME_CHARACTERS = 128
STATE_OF = {number: state for state, number in job_messages.STATES.items()}


def job_filter(request: job_pb2.ListJobsRequest) -> JobFilter:
    """Returns which jobs a request is about. Raises InvalidInput."""
    if request.state and request.state not in STATE_OF:
        raise proto_values.refuse("state", f"is {request.state}, which is no state", RequestReason.STATE_UNKNOWN)
    if request.user and not request.tenant:
        raise proto_values.refuse("user", "needs a tenant", RequestReason.INVALID_VALUE)
    for field in ("user", "model", "backend"):
        if len(getattr(request, field)) > NAME_CHARACTERS:
            raise proto_values.refuse(
                field, f"is longer than {NAME_CHARACTERS} characters", RequestReason.INVALID_VALUE
            )
    return JobFilter(
        tenant=proto_values.resource_id(request.tenant, "tenants", field="tenant") if request.tenant else "",
        user=request.user,
        state=STATE_OF[request.state] if request.state else None,
        model=request.model,
        backend=request.backend,
        since=_time(request.since, "since") if request.HasField("since") else None,
        until=_time(request.until, "until") if request.HasField("until") else None,
    )


def summary(given: JobRecord) -> job_pb2.JobSummary:
    """Returns a job as in a list."""
    job = given.job
    return job_pb2.JobSummary(
        name=f"jobs/{job.id}",
        tenant=f"tenants/{job.tenant}",
        user=job.user,
        key=job.key,
        backend=given.backend,
        model=job.spec.model,
        operation=job.spec.operation.kind,
        state=job_messages.STATES[job.state],
        stage=job.stage,
        progress=job.progress,
        attempt=job.attempt,
        quote=proto_values.money(job.quote_micros),
        charged=None if job.charged_micros is None else proto_values.money(job.charged_micros),
        error=None if job.error is None else job_messages.error(job.error),
        create_time=proto_values.timestamp(job.create_time),
        start_time=admin_messages.moment(job.start_time),
        end_time=admin_messages.moment(job.end_time),
        expire_time=proto_values.timestamp(job.expire_time),
    )


def details(given: JobDetails) -> job_pb2.JobDetails:
    """Returns everything about a job."""
    return job_pb2.JobDetails(
        summary=summary(given.record),
        job=job_messages.job(given.record.job),
        events=given.events,
        holds=map(_hold, given.holds),
        entries=map(_entry, given.entries),
        paid_calls=map(_paid_call, given.paid_calls),
        queue_entry=None if given.queue_entry is None else _queue_entry(given.queue_entry),
    )


def _hold(given: JobHold) -> job_pb2.JobDetails.Hold:
    return job_pb2.JobDetails.Hold(
        subject=given.subject,
        measure=given.measure,
        period=given.period,
        amount=given.amount,
        settled=given.settled,
    )


def _entry(given: Entry) -> job_pb2.JobDetails.Entry:
    return job_pb2.JobDetails.Entry(
        kind=given.kind.value,
        time=proto_values.timestamp(given.time),
        reserved=proto_values.money(given.reserved_micros),
        spent=proto_values.money(given.spent_micros),
    )


def _paid_call(given: PaidCall) -> job_pb2.JobDetails.PaidCall:
    return job_pb2.JobDetails.PaidCall(
        submission_id=given.submission_id,
        attempt=given.attempt,
        provider=given.provider,
        model=given.model,
        state=given.state,
        submit_time=proto_values.timestamp(given.submit_time),
    )


def _queue_entry(given: QueueEntry) -> job_pb2.JobDetails.QueueEntry:
    return job_pb2.JobDetails.QueueEntry(
        id=given.id,
        status=given.status,
        queue=given.queue,
        create_time=proto_values.timestamp(given.create_time),
        start_time=admin_messages.moment(given.start_time),
        delay_time=admin_messages.moment(given.delay_time),
        worker=given.worker,
        beat_time=admin_messages.moment(given.beat_time),
    )


def _time(given: Timestamp, field: str) -> datetime:
    try:
        return given.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise proto_values.refuse(field, "is not a valid time", RequestReason.INVALID_VALUE) from None
