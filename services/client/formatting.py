"""The command line's output about jobs and models, as lines. Prints nothing."""

from collections.abc import Iterable, Sequence
from datetime import UTC

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.v1 import catalog_pb2, job_pb2

from services.client import money_format
from services.client.shell_command import shell_command
from services.client.terminal import visible, width


def as_json(message: Message) -> str:
    """Returns a message on one line, in the standard JSON of protobuf with the field names of our files."""
    text: str = MessageToJson(
        message, indent=None, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return text


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns one line per row, with aligned columns."""
    table = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*table, strict=True)]
    padded = ([cell + " " * (room - width(cell)) for cell, room in zip(row, widths, strict=True)] for row in table)
    return ["  ".join(row).rstrip() for row in padded]


def state(job: job_pb2.Job) -> str:
    """Returns a job's state, as in the API."""
    return job_pb2.Job.State.Name(job.state)


def seconds(duration: Duration) -> str:
    """Returns `5.06 s`."""
    return f"{duration.ToMilliseconds() / 1000:.2f}".rstrip("0").rstrip(".") + " s"


def size(of: job_pb2.Size) -> str:
    """Returns `224x128`."""
    return f"{of.width}x{of.height}"


def moment(time: Timestamp) -> str:
    """Returns a time in UTC, to the second."""
    return time.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%SZ") if time.seconds else ""


def warning(text: str) -> str:
    """Returns a warning as it is repeated at the end."""
    return f"warning: {text}"


def video(job: job_pb2.Job, path: str) -> list[str]:
    """Returns the result of a finished job."""
    output = job.output
    return columns(
        [
            ("video", path),
            ("size", f"{size(output.size)}, {output.frames} frames, {seconds(output.duration)}"),
            ("cost", money_format.text(job.charged)),
            ("job", job.name),
        ]
    )


def failure(job: job_pb2.Job) -> list[str]:
    """Returns why a job ended without a video, what it cost, and what to do."""
    if job.state == job_pb2.Job.CANCELLED:
        return [f"{job.name} was cancelled. {money_format.text(job.charged)} was charged."]
    advice = "The same request may succeed later." if job.error.retryable else "The same request would fail again."
    if job.error.resumable:
        again = shell_command("resume", job.name)
        advice = f"The work is paid for and may still bring the video: {again} costs nothing again."
    why = f"{job.name} failed: {job.error.message} ({job.error.reason})"
    return [why, f"{money_format.text(job.charged)} was charged. {advice}"]


def job(shown: job_pb2.Job) -> list[str]:
    """Returns the details of a job."""
    operation = shown.spec.WhichOneof("operation") or ""
    prompt = shown.prompt or getattr(getattr(shown.spec, operation, None), "prompt", "")
    rows = [
        ("job", shown.name),
        ("state", f"{state(shown)} {shown.progress:.0%} {shown.stage}".rstrip()),
        ("place", f"{shown.queue_place} in the queue" if shown.queue_place else ""),
        ("expected start", moment(shown.expected_start_time)),
        ("expected end", moment(shown.expected_end_time)),
        ("model", f"{shown.spec.model} {operation.replace('_', '-')}".rstrip()),
        ("prompt", prompt),
        ("seed", str(shown.spec.seed) if shown.spec.HasField("seed") else ""),
        ("quote", money_format.text(shown.quote)),
        ("charged", money_format.text(shown.charged) if shown.HasField("charged") else ""),
        ("refunded", money_format.text(shown.refunded) if shown.HasField("refunded") else ""),
        ("attempt", str(shown.attempt or "")),
        ("created", moment(shown.create_time)),
        ("started", moment(shown.start_time)),
        ("ended", moment(shown.end_time)),
        ("video", shown.output.asset),
        ("error", f"{shown.error.message} ({shown.error.reason})" if shown.HasField("error") else ""),
    ]
    return columns([row for row in rows if row[1]])


def wait(heartbeat: job_pb2.Heartbeat) -> str:
    """Returns the place of a waiting job, and when it is expected to start and end, in a line."""
    parts = [f"place {heartbeat.queue_place} in the queue"]
    if heartbeat.HasField("expected_start_time"):
        parts.append(f"starts about {moment(heartbeat.expected_start_time)}")
    if heartbeat.HasField("expected_end_time"):
        parts.append(f"ends about {moment(heartbeat.expected_end_time)}")
    return ", ".join(parts)


def jobs(shown: Sequence[job_pb2.Job], room: int | None = None) -> list[str]:
    """Returns a table of jobs. Where it is wider than `room` columns it loses the last ones, but not name and state."""
    if not shown:
        return ["There are no jobs."]
    rows = [
        (
            each.name,
            state(each),
            f"{each.progress:.0%}",
            each.spec.model,
            money_format.text(each.quote),
            moment(each.create_time),
        )
        for each in shown
    ]
    table = [("JOB", "STATE", "DONE", "MODEL", "PRICE", "CREATED"), *rows]
    for count in range(len(table[0]), 1, -1):
        lines = columns([row[:count] for row in table])
        if room is None or max(map(width, lines)) <= room:
            break
    return lines


def models(shown: Sequence[catalog_pb2.Model]) -> list[str]:
    """Returns a table of models."""
    rows = [
        (
            each.name.removeprefix("models/") + _mark(each),
            ", ".join(
                catalog_pb2.Model.Operation.Name(operation).lower().replace("_", "-") for operation in each.operations
            ),
            ", ".join(size(one) for one in each.sizes) or ", ".join(each.remote.resolutions),
            _lengths(each),
            _price(each),
        )
        for each in shown
    ]
    return columns([("MODEL", "MAKES", "SIZES", "LENGTHS", "PRICE OF A SECOND"), *rows])


def _mark(model: catalog_pb2.Model) -> str:
    marks = (
        ("experimental",) * model.engine.experimental
        + ("SIMULATED",) * model.remote.simulation
        + ("drained",) * model.drained
    )
    return f" ({', '.join(marks)})" if marks else ""


def _price(model: catalog_pb2.Model) -> str:
    """Returns the price of a second; of a remote model that of each resolution, and when it was looked up."""
    if not model.HasField("remote"):
        return money_format.text(model.price_per_second)
    prices = []
    for each in model.remote.prices:
        by_run = each.per_run.amount_micros
        price = f"{money_format.text(each.per_run)} a video" if by_run else money_format.text(each.per_second)
        prices.append(f"{each.resolution} {price}".strip())
    return f"{'; '.join(prices)} ({model.remote.price_as_of})"


def _lengths(model: catalog_pb2.Model) -> str:
    """Returns `5 s, 2 s`, and what holds for single operations: `5 s; image-to-video 4.5 s`."""
    parts = [", ".join(map(seconds, model.durations)) or "as its audio"]
    for own in model.durations_by_operation:
        kind = catalog_pb2.Model.Operation.Name(own.operation).lower().replace("_", "-")
        parts.append(f"{kind} {', '.join(map(seconds, own.durations))}")
    return "; ".join(parts)
