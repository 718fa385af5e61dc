"""The command line's output about limits, as lines. Prints nothing."""

from collections.abc import Iterable

from i2v.v1 import job_pb2

from services.client import money_format
from services.client.formatting import columns, moment

UNLIMITED, NONE = "unlimited", "none"
LimitStatus = job_pb2.LimitStatus


def lines(limits: Iterable[LimitStatus], *, asked: bool, currency: str = "") -> list[str]:
    """Returns a table of limits, with what is asked of them if there is something; empty without limits."""
    head, rows = _cells("LIMIT OF", "LIMIT", "USED", "HELD", "ASKED", "LEFT", "RESETS", asked=asked), []
    for each in limits:
        if each.HasField("limit"):
            most = amount(each.limit, each, currency) if each.limit else NONE
            left = amount(each.left, each, currency) if each.left else NONE
        else:
            most = left = UNLIMITED
        row = _cells(
            f"{each.subject} {each.measure} {each.per}",
            most,
            amount(each.used, each, currency),
            amount(each.held, each, currency),
            amount(each.asked, each, currency),
            left,
            moment(each.reset_time),
            asked=asked,
        )
        rows.append(row)
    return columns([head, *rows]) if rows else []


def _cells(*cells: str, asked: bool) -> tuple[str, ...]:
    return cells if asked else (*cells[:4], *cells[5:])


def amount(number: int, limit: LimitStatus, currency: str) -> str:
    """Returns an amount in the limit's unit. All digits are shown: a limit that is just reached must not look free."""
    match limit.unit:
        case LimitStatus.MICROS:
            return money_format.text(job_pb2.Money(amount_micros=number, currency_code=currency))
        case LimitStatus.MILLISECONDS:
            return f"{number / 1000:.15g} s"
        case LimitStatus.BYTES:
            return f"{number / 1_000_000:.15g} MB"
    return str(number)
