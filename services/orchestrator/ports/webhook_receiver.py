"""The receivers of webhooks: hosts outside, which their owners chose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from services.reasons import DeliveryReason


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request."""

    status: int | None
    """None: there was none, and `failure` says why."""
    failure: DeliveryReason | None = None
    retry_after_s: float | None = None
    """What the receiver asked for."""


class WebhookReceiver(Protocol):
    """Sends one request to a URL of a receiver."""

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> Answer:
        """Sends a body. The answer's own body is not used. Raises Unavailable if our own resources do not suffice."""
