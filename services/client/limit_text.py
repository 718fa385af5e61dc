"""How the use of a limit is written on the command line."""

from i2v.v1 import job_pb2

from services.client import formatting, limit_lines
from services.client.limit_lines import NONE, UNLIMITED

HEAD = ("LIMIT OF", "USED", "HELD", "LIMIT", "RESETS")


def row(limit: job_pb2.LimitStatus, currency: str) -> tuple[str, ...]:
    """Returns the cells of a limit, in the order of `HEAD`."""
    used, held, most = (limit_lines.amount(each, limit, currency) for each in (limit.used, limit.held, limit.limit))
    most = most if limit.limit else NONE
    return (
        f"{limit.subject} {limit.measure} {limit.per}",
        used,
        held,
        f"{most}{_share(limit)}" if limit.HasField("limit") else UNLIMITED,
        formatting.moment(limit.reset_time),
    )


def line(limit: job_pb2.LimitStatus, currency: str) -> str:
    """Returns `user jobs day: 3 used, 1 held of 10 (40 %)`."""
    name, used, held, most, _ = row(limit, currency)
    return f"{name}: {used} used, {held} held{f' of {most}' if limit.HasField('limit') else ''}"


def _share(limit: job_pb2.LimitStatus) -> str:
    return f" ({(limit.used + limit.held) * 100 // limit.limit} %)" if limit.limit else ""
