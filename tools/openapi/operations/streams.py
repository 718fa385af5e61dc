"""`/v1/jobs/{job}/events` and `/v1/usage/events`: events as they happen."""

from services.reasons import HttpReason
from tools.openapi.operation import Answer, Events, Operation, Parameter, Part
from tools.openapi.problems import OF_ALL, OF_PATHS, Error, answers

EVENT_STREAM = "text/event-stream"
OF_STREAMS = (
    Error(429, "This user has too many streams open in the process.", (HttpReason.CALLER_STREAMS_FULL,)),
    Error(503, "The process has too many streams open. Repeat after `Retry-After`.", (HttpReason.EVENT_STREAMS_FULL,)),
    *OF_ALL,
)
OF_JOB = Events(("i2v.v1.JobEvent", "i2v.v1.Heartbeat"))
OF_USAGE = Events(("i2v.v1.UsageState", "i2v.v1.LimitStatus", "i2v.v1.LimitWarning"))
JOB = Parameter(
    name="job", where="path", description="The last part of the name `jobs/{job}`.", schema={"type": "string"}
)
LAST = "The id of the last event that the client has: the stream begins after it. Default: from the first event."

PART = Part(
    tag="Events",
    description=(
        "Server-sent events, which a client continues after a break by `Last-Event-ID`. Comments keep a stream without "
        "events alive."
    ),
    operations=(
        Operation(
            method="get",
            path="/v1/jobs/{job}/events",
            operation_id="watchJob",
            summary="Watch a job",
            description=(
                "Sends a job's events: the past ones, then each new one, to the last. The id of one is its number, its "
                "name the kind, such as `progressed` or `fragmentReady`, and its data a JobEvent. While the job "
                "waits, events with the name `heartbeat` say its place. No event is missed or sent twice."
            ),
            parameters=(
                JOB,
                Parameter(name="Last-Event-ID", where="header", description=LAST, schema={"type": "string"}),
                Parameter(
                    name="lastEventId",
                    where="query",
                    description="The same for clients that cannot set the header.",
                    schema={"type": "integer", "minimum": 0},
                ),
                Parameter(
                    name="format",
                    where="query",
                    description="`text`: a line for people for each event.",
                    schema={"type": "string", "enum": ["events", "text"], "default": "events"},
                ),
            ),
            answers={
                200: Answer(
                    description="The events, as they happen.",
                    contents={EVENT_STREAM: OF_JOB, "text/plain": {"type": "string"}},
                ),
                204: Answer(description="The job has ended, and the client has all its events: do not connect again."),
            }
            | answers((*OF_PATHS, *OF_STREAMS)),
        ),
        Operation(
            method="get",
            path="/v1/usage/events",
            operation_id="watchUsage",
            summary="Watch limits",
            description=(
                "Sends the state of the limits that hold for the caller (`state`), then each change (`change`) and "
                "each warning (`warning`). It does not end by itself; a new request begins with the state."
            ),
            answers={
                200: Answer(
                    description="The state and its changes.",
                    contents={EVENT_STREAM: OF_USAGE},
                )
            }
            | answers(OF_STREAMS),
        ),
    ),
)
