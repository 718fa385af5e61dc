"""Plans as a table for people."""

from collections.abc import Sequence

from i2v.admin.v1 import plan_pb2

from services.client import formatting

PERIODS = {"day": "a day", "month": "a month", "anniversary-month": "a month from the anniversary"}
SUBJECTS = {"tenant": "tenant", "user": "each user", "key": "each key"}


def plans(shown: Sequence[plan_pb2.Plan]) -> list[str]:
    """Returns a table of plans, with a line for each limit and allow-list."""
    rows = [("PLAN", "PRIORITY", "WEIGHT", "ALLOWS")]
    for plan in shown:
        allowed = [*_allow_lists(plan), *map(_limit, plan.limits)] or ["everything, without limits"]
        head = (plan.name.removeprefix("plans/"), str(plan.priority), str(plan.weight))
        rows += [(*(head if index == 0 else ("", "", "")), each) for index, each in enumerate(allowed)]
    return formatting.columns(rows)


def _allow_lists(plan: plan_pb2.Plan) -> list[str]:
    lists = {"models": plan.models, "operations": plan.operations, "resolutions": plan.resolutions}
    lines = [f"{what}: {', '.join(names)}" for what, names in lists.items() if names]
    if plan.HasField("price_most_micros"):
        lines.append(f"price of one job: {_units(plan.price_most_micros, 6)}")
    return lines


def _limit(limit: plan_pb2.PlanLimit) -> str:
    measure = limit.measure.replace(":", " of ", 1).replace(":", ", ").replace("=", " ")
    period = PERIODS.get(limit.per, "at a time")
    return f"{SUBJECTS.get(limit.subject, limit.subject)}: {measure}: {_amount(limit)} {period}"


def _amount(limit: plan_pb2.PlanLimit) -> str:
    if not limit.HasField("most"):
        return "unlimited"
    if limit.most == 0:
        return "none"
    match limit.unit:
        case "micros":
            return _units(limit.most, 6)
        case "milliseconds":
            return f"{_units(limit.most, 3)} s"
        case _:
            return str(limit.most)


def _units(amount: int, digits: int) -> str:
    """Returns an amount in units, exactly, without zeros at the end of its decimal places."""
    whole, part = divmod(amount, 10**digits)
    return f"{whole}.{part:0{digits}d}".rstrip("0").rstrip(".")
