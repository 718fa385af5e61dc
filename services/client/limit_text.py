"""How the use of a limit is written on the command line."""

from i2v.v1 import job_pb2, usage_pb2

from services.client import formatting, money_format

HEAD = ("WHOSE", "WHAT", "PER", "USED", "HELD", "LIMIT", "RESETS")


def row(use: usage_pb2.LimitUse, currency: str) -> tuple[str, ...]:
    """Returns the cells of a limit, in the order of `HEAD`."""
    used, held, most = (_amount(each, use, currency) for each in (use.used, use.held, use.limit))
    return (
        use.subject,
        use.measure,
        use.per,
        used,
        held,
        f"{most}{_share(use)}" if use.HasField("limit") else "unlimited",
        formatting.moment(use.reset_time),
    )


def line(use: usage_pb2.LimitUse, currency: str) -> str:
    """Returns `user jobs day: 3 used, 1 held of 10 (40 %)`."""
    used, held, most = (_amount(each, use, currency) for each in (use.used, use.held, use.limit))
    limit = f" of {most}{_share(use)}" if use.HasField("limit") else ""
    return f"{use.subject} {use.measure} {use.per}: {used} used, {held} held{limit}"


def _share(use: usage_pb2.LimitUse) -> str:
    return f" ({(use.used + use.held) * 100 // use.limit} %)" if use.limit else ""


def _amount(number: int, use: usage_pb2.LimitUse, currency: str) -> str:
    match use.unit:
        case "micros":
            return money_format.text(job_pb2.Money(amount_micros=number, currency_code=currency))
        case "milliseconds":
            return f"{number / 1000:.15g} s"
        case "bytes":
            return f"{number / 1_000_000:.15g} MB"
    return str(number)
