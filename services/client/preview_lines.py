"""The command line's output about the preview of a job, as lines. Prints nothing."""

from i2v.v1 import job_pb2

from i2v_client import Violation
from services.client import error_messages, limit_lines, money_format
from services.client.formatting import columns, moment, seconds, size


def lines(shown: job_pb2.PreviewJobResponse) -> list[str]:
    """Returns the preview of a job: what is made, the price, what refuses it, and the limits."""
    limits = limit_lines.lines(shown.limits, asked=True, currency=shown.quote.currency_code)
    blocks = [_summary(shown), _price(shown), _refusals(shown), limits]
    found: list[str] = []
    for block in blocks:
        found += ["", *block] if found and block else block
    return found


def _summary(shown: job_pb2.PreviewJobResponse) -> list[str]:
    if shown.problems:
        return ["The job would be refused."]
    rows = [
        ("price", money_format.text(shown.quote)),
        (
            "budget left",
            money_format.text(shown.budget_left) if shown.HasField("budget_left") else limit_lines.UNLIMITED,
        ),
        ("video", _video(shown)),
        ("jobs before it", str(shown.queued_jobs)),
        ("begins", moment(shown.expected_start_time)),
        ("ends", moment(shown.expected_end_time)),
        ("quote", shown.quote_token),
        ("quote holds to", moment(shown.quote_expire_time)),
    ]
    return columns([row for row in rows if row[1]])


def _video(shown: job_pb2.PreviewJobResponse) -> str:
    length = seconds(shown.spec.duration)
    if not shown.frames:  # the vendor decides
        return f"{shown.spec.resolution}, {length}".lstrip(", ")
    return f"{size(shown.spec.size)}, {shown.frames} frames, {length}"


def _price(shown: job_pb2.PreviewJobResponse) -> list[str]:
    rows = [
        (line.description, f"{line.quantity:g} x {money_format.text(line.unit_price)}", money_format.text(line.amount))
        for line in shown.lines
    ]
    return columns([("PRICE OF", "QUANTITY", "AMOUNT"), *rows]) if rows else []


def _refusals(shown: job_pb2.PreviewJobResponse) -> list[str]:
    """Returns everything that would refuse the job: problems by option, and limits."""
    problems = [Violation(each.field, each.description, each.reason) for each in shown.problems]
    return [*map(error_messages.of_field, problems), *(each.message for each in shown.limits if each.exceeded)]
