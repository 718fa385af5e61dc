"""Removes old deliveries of webhooks, and those of deleted endpoints."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.retention import Due, Kind
from services.orchestrator.ports.webhooks import OldDeliveries

AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class OldWebhookDeliveries:
    """The removal of deliveries."""

    deliveries: OldDeliveries

    @property
    def kind(self) -> Kind:
        """Deliveries."""
        return Kind.DELIVERIES

    async def due(self, before: datetime) -> Due:
        """Returns which deliveries of events before this time have ended, or wait for nothing."""
        return await self.deliveries.due(before)

    async def batches(self, before: datetime) -> AsyncGenerator[int, None]:
        """Removes some deliveries, and yields their number."""
        while removed := await self.deliveries.remove(before, limit=AT_ONCE):
            yield removed
