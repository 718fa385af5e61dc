"""The counters of limits."""

from collections.abc import Sequence
from typing import Protocol

from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.limits.status import LimitStatus


class Counters(Protocol):
    """The counters of all tenants. Every method raises services.errors.Unavailable if the database is away."""

    async def status(self, caller: Caller) -> Sequence[LimitStatus]:
        """Returns the state of every limit of the caller's plan now, in the plan's order, then what is always counted.

        What a plan does not limit has no `most`.
        """
