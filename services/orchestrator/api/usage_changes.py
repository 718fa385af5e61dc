"""Proto from domain: the use of limits, and how it changes."""

from collections.abc import Iterator
from dataclasses import dataclass

from i2v.v1 import job_pb2, usage_pb2

from services.orchestrator.api import preview_messages, proto_values
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.limits.asked_limit import AskedLimit
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.domain.limits.warning import UsageWarning
from services.orchestrator.domain.limits.warning_text import warning_text
from services.orchestrator.domain.price import CURRENCY


@dataclass(frozen=True, slots=True)
class UsageSnapshot:
    """All limits that hold for a caller, at one moment."""

    caller: Caller
    limits: tuple[LimitStatus, ...]

    @property
    def by_name(self) -> dict[tuple[str, str], LimitStatus]:
        """The limits by their names and their periods, in order."""
        return {(each.limit.key, each.period.key): each for each in self.limits}


def state(snapshot: UsageSnapshot) -> usage_pb2.UsageState:
    """Returns all limits."""
    return usage_pb2.UsageState(
        plan=snapshot.caller.plan.name,
        limits=[_limit(each, snapshot.caller) for each in snapshot.limits],
        currency_code=CURRENCY,
    )


def changes(before: UsageSnapshot, after: UsageSnapshot) -> Iterator[usage_pb2.WatchUsageResponse]:
    """Yields what has changed: all limits if they are other ones, else each changed one; and the new warnings."""
    old, new = before.by_name, after.by_name
    if before.caller.plan.name != after.caller.plan.name or list(old) != list(new):
        yield usage_pb2.WatchUsageResponse(state=state(after))
    else:
        for name, status in new.items():
            if status != old[name]:
                yield usage_pb2.WatchUsageResponse(change=_limit(status, after.caller))
    for name, status in new.items():
        known = old[name].warnings if name in old else ()
        if raised := [each for each in status.warnings if each not in known]:
            yield usage_pb2.WatchUsageResponse(warning=_warning(status, raised[-1], after.caller))


def _warning(status: LimitStatus, raised: UsageWarning, caller: Caller) -> usage_pb2.LimitWarning:
    return usage_pb2.LimitWarning(
        percent=raised.threshold,
        limit=_limit(status, caller),
        time=proto_values.timestamp(raised.time),
        message=warning_text(status, caller.plan, caller.calendar.time_zone),
    )


def _limit(status: LimitStatus, caller: Caller) -> job_pb2.LimitStatus:
    return preview_messages.limit(AskedLimit(status), caller)
