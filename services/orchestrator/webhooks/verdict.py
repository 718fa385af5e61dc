"""What one answer of a receiver means for the delivery and for its endpoint. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.orchestrator.domain.webhook import PauseReason
from services.orchestrator.ports.webhook_receiver import Answer
from services.orchestrator.ports.webhooks import Claimed
from services.orchestrator.webhooks.schedule import TRIED_FOR, hold, pause
from services.reasons import DeliveryReason

RETRY_AFTER_MOST_S = 28_800.0
"""No receiver is left alone for longer because it asked for it."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""

    status: int


@dataclass(frozen=True, slots=True)
class Failed:
    """It is tried again."""

    reason: DeliveryReason
    status: int | None
    next_try: datetime
    hold_until: datetime | None
    """Until then the endpoint gets nothing; None: it may get others at once."""
    pause: PauseReason | None = None
    """Why the endpoint is paused; None: it is not. Its deliveries wait, this one too."""


@dataclass(frozen=True, slots=True)
class Dead:
    """It is given up, while others reach the endpoint."""

    reason: DeliveryReason
    status: int | None
    hold_until: datetime | None


Verdict = Delivered | Failed | Dead


def verdict(delivery: Claimed, answer: Answer, now: datetime) -> Verdict:
    """Returns what an answer means."""
    if answer.status is not None and 200 <= answer.status < 300:
        return Delivered(answer.status)
    reason = _reason(answer)
    dead_endpoint = _paused_for(delivery, reason, now)
    next_pause = pause(delivery.id, delivery.tries, now - delivery.create_time)
    asked = timedelta(seconds=min(answer.retry_after_s or 0.0, RETRY_AFTER_MOST_S))
    held = max(hold(delivery.failures + 1) or timedelta(), asked)
    hold_until = now + held if held else None
    if next_pause is None and dead_endpoint is None:
        return Dead(reason, answer.status, hold_until)
    next_try = now + max(next_pause or timedelta(), asked)
    return Failed(reason, answer.status, next_try, hold_until, pause=dead_endpoint)


def _paused_for(delivery: Claimed, reason: DeliveryReason, now: datetime) -> PauseReason | None:
    if reason is DeliveryReason.RECEIVER_GONE:
        return PauseReason.GONE
    if delivery.failing_since is not None and now - delivery.failing_since >= TRIED_FOR:
        return PauseReason.FAILING
    return None


def _reason(answer: Answer) -> DeliveryReason:
    match answer.status:
        case None:
            return answer.failure or DeliveryReason.RECEIVER_BROKEN
        case 410:
            return DeliveryReason.RECEIVER_GONE
        case 429 | 503:
            return DeliveryReason.RECEIVER_BUSY
        case status if 300 <= status < 400:
            return DeliveryReason.RECEIVER_REDIRECTED
        case _:
            return DeliveryReason.RECEIVER_REFUSED
