"""The warnings of counters, as logs and metrics report them."""

from collections.abc import Sequence
from typing import Protocol

from services.orchestrator.domain.limits.warning import CounterWarning


class UsageWarnings(Protocol):
    """The warnings of all tenants. Raises services.errors.Unavailable if the database is away."""

    async def take(self) -> Sequence[CounterWarning]:
        """Returns warnings that no process has taken yet, the oldest first; each once, over all processes."""
