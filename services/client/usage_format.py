"""The command line's output about limits, budgets and the ledger, as lines. Prints nothing."""

from collections.abc import Iterable, Sequence

from i2v.v1 import usage_pb2

from services.client import limit_lines, money_format
from services.client.formatting import columns, moment, seconds


def usage(shown: usage_pb2.Usage) -> list[str]:
    """Returns the plan, limits and bookings."""
    currency = shown.tenant.spent.currency_code
    lines = [f"Plan {shown.plan}.", "", *limit_lines.lines(shown.limits, asked=False, currency=currency)]
    return [*lines, "", *entries(shown.entries)] if shown.entries else lines


def entries(shown: Iterable[usage_pb2.LedgerEntry]) -> list[str]:
    """Returns bookings."""
    rows = [
        (
            moment(entry.create_time),
            usage_pb2.LedgerEntry.Kind.Name(entry.kind).lower(),
            money_format.text(entry.reserved),
            money_format.text(entry.spent),
            money_format.text(entry.credit) if entry.HasField("credit") else "",
            entry.user,
            entry.model,
            entry.job or f"{entry.reference} {entry.reason}".strip(),
        )
        for entry in shown
    ]
    head = ("TIME", "BOOKED", "RESERVED", "SPENT", "CREDIT", "USER", "MODEL", "JOB OR REASON")
    return columns([head, *rows]) if rows else ["There are no bookings."]


def groups(by: Sequence[str], shown: usage_pb2.QueryUsageResponse) -> list[str]:
    """Returns sums, with their total in the last line."""
    head = (*(name.upper() for name in by), "SPENT", "RESERVED", "CREDIT", "ADMITTED", "JOBS", "VIDEO")
    rows = [(*(value or "-" for value in each.values), *_sums(each.sums)) for each in shown.groups]
    total = ("total", *("" for _ in by[1:]), *_sums(shown.total))
    return [f"{moment(shown.start_time)} to {moment(shown.end_time)}", "", *columns([head, *rows, total])]


def _sums(sums: usage_pb2.UsageSums) -> tuple[str, ...]:
    return (
        money_format.text(sums.spent),
        money_format.text(sums.reserved),
        money_format.text(sums.credit),
        str(sums.admitted_jobs),
        str(sums.jobs),
        seconds(sums.video),
    )


def statement(header: usage_pb2.StatementHeader, trailer: usage_pb2.StatementTrailer) -> list[str]:
    """Returns a statement without its entries."""
    sums, limited = trailer.sums, header.HasField("limit")
    rows = [
        ("limit on spending", money_format.text(header.limit) if limited else limit_lines.UNLIMITED),
        ("credits", money_format.text(sums.credit)),
        ("spent", money_format.text(sums.spent)),
        ("reserved for unfinished jobs", money_format.text(sums.reserved)),
        ("reserved for jobs of earlier months", money_format.text(header.reserved_before)),
        ("jobs admitted", str(sums.admitted_jobs)),
        ("jobs that brought a video or cost something", str(sums.jobs)),
        ("length of their videos", seconds(sums.video)),
        ("bookings", str(sums.entries)),
    ]
    whose = f"user {header.user} of tenant {header.tenant}" if header.user else f"tenant {header.tenant}"
    first = f"Statement of {header.month} for {whose}, plan {header.plan}, made at {moment(header.create_time)}."
    days = f"{moment(header.start_time)} to {moment(header.end_time)}, months of {header.time_zone}."
    return [first, days, "", *columns(rows)]
