"""What `i2v admin jobs` prints of jobs, as lines. Prints nothing."""

from i2v.admin.v1 import job_pb2
from i2v.v1 import job_pb2 as jobs_pb2

from services.client import formatting, money_format

HEAD = ("JOB", "STATE", "DONE", "TENANT", "USER", "MODEL", "BACKEND", "PRICE", "CREATED", "WHY")


def row(job: job_pb2.JobSummary) -> tuple[str, ...]:
    """Returns a job as a line of a table."""
    return (
        job.name,
        jobs_pb2.Job.State.Name(job.state),
        f"{job.progress:.0%}",
        job.tenant.removeprefix("tenants/"),
        job.user,
        job.model,
        job.backend,
        money_format.text(job.quote),
        formatting.moment(job.create_time),
        job.error.reason,
    )


def lines(found: job_pb2.JobDetails) -> list[str]:
    """Returns everything about a job."""
    summary, entry = found.summary, found.queue_entry
    rows = [
        ("tenant", f"{summary.tenant.removeprefix('tenants/')}, user {summary.user}"),
        ("key", summary.key),
        ("backend", summary.backend),
        ("events", str(found.events)),
        ("queue entry", f"{entry.status} in {entry.queue} since {formatting.moment(entry.create_time)}"),
        ("taken", formatting.moment(entry.start_time)),
        ("waits until", formatting.moment(entry.delay_time)),
        ("worker", entry.worker),
        ("heartbeat", formatting.moment(entry.beat_time)),
        ("deleted", formatting.moment(found.job.delete_time)),
    ]
    if not found.HasField("queue_entry"):
        rows[4:] = [("queue entry", "removed")]
    tables = [
        [("HOLD OF", "COUNTS", "PERIOD", "AMOUNT", "USED"), *map(_hold, found.holds)],
        [("BOOKED", "TIME", "RESERVED", "SPENT"), *map(_entry, found.entries)],
        [("SUBMISSION", "STATE", "PROVIDER", "MODEL", "SUBMITTED"), *map(_paid_call, found.paid_calls)],
    ]
    shown = [*formatting.job(found.job), *formatting.columns([each for each in rows if each[1]])]
    for table in tables:
        if len(table) > 1:
            shown += ["", *formatting.columns(table)]
    return shown


def _hold(hold: job_pb2.JobDetails.Hold) -> tuple[str, ...]:
    used = str(hold.settled) if hold.HasField("settled") else "open"
    return hold.subject or "tenant", hold.measure, hold.period, str(hold.amount), used


def _entry(entry: job_pb2.JobDetails.Entry) -> tuple[str, ...]:
    moment = formatting.moment(entry.time)
    return entry.kind, moment, money_format.text(entry.reserved), money_format.text(entry.spent)


def _paid_call(call: job_pb2.JobDetails.PaidCall) -> tuple[str, ...]:
    return call.submission_id, call.state, call.provider, call.model, formatting.moment(call.submit_time)
