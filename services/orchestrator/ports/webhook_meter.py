"""Metrics of the delivery of webhooks."""

from typing import Protocol

from services.orchestrator.domain.webhook import PauseReason
from services.reasons import DeliveryReason


class WebhookMeter(Protocol):
    """Counts and measures tries. Raises nothing."""

    def tried(self, result: str, reason: DeliveryReason | None, seconds: float) -> None:
        """A try took so long. Its result is `delivered`, `failed` or `dead`; without a reason it succeeded."""

    def delay(self, seconds: float) -> None:
        """An event was delivered at the first try, so long after it had happened."""

    def endpoint_paused(self, reason: PauseReason) -> None:
        """An endpoint was paused."""

    def under_way(self, lane: str, count: int) -> None:
        """So many requests of a lane are under way."""
