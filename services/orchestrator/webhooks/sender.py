"""One try of one delivery: sign, send, record what came of it."""

import asyncio
import logging
from datetime import timedelta

from services.errors import Unavailable
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.webhook_meter import WebhookMeter
from services.orchestrator.ports.webhook_receiver import WebhookReceiver
from services.orchestrator.ports.webhooks import Claimed, Deliveries, Failure
from services.orchestrator.webhooks import signature
from services.orchestrator.webhooks.verdict import Dead, Delivered, Failed, Verdict, verdict

SHORTAGE = timedelta(seconds=5)
"""To the next try if this machine lacks resources. It is no failure of the receiver."""

log = logging.getLogger(__name__)


class Sender:
    """Sends claimed deliveries."""

    def __init__(self, deliveries: Deliveries, receiver: WebhookReceiver, clock: Clock, meter: WebhookMeter) -> None:
        self._deliveries = deliveries
        self._receiver = receiver
        self._clock = clock
        self._meter = meter

    async def send(self, delivery: Claimed) -> None:
        """Tries a delivery once.

        If the result cannot be recorded, the claim runs out, and the receiver gets the same webhook, with the same id,
        once more. Raises Unavailable if our own resources or the database do not suffice.
        """
        began, sent = asyncio.get_running_loop().time(), self._clock.now()
        headers = signature.headers(delivery.id, sent, delivery.secrets, delivery.payload)
        try:
            answer = await self._receiver.post(delivery.url, headers, delivery.payload)
        except Unavailable:
            await self._deliveries.release(delivery, self._clock.now() + SHORTAGE)
            raise
        seconds = asyncio.get_running_loop().time() - began
        found = verdict(delivery, answer, self._clock.now())
        if await self._record(delivery, found):
            self._count(delivery, found, seconds)
            await self._pause(delivery, found)
        else:
            fields = {"tenant": delivery.tenant, "webhook": delivery.endpoint_id, "delivery": delivery.id}
            log.warning("another process has taken over a delivery", extra=fields)

    async def _record(self, delivery: Claimed, found: Verdict) -> bool:
        now = self._clock.now()
        match found:
            case Delivered(status):
                return await self._deliveries.delivered(delivery, now, status)
            case Failed(reason, status, next_try, hold_until):
                failure = Failure(status, reason)
                return await self._deliveries.failed(delivery, failure, now, next_try, hold_until=hold_until)
            case Dead(reason, status, hold_until):
                return await self._deliveries.dead(delivery, Failure(status, reason), now, hold_until=hold_until)

    async def _pause(self, delivery: Claimed, found: Verdict) -> None:
        if not isinstance(found, Failed) or found.pause is None:
            return
        if await self._deliveries.pause(delivery, found.pause, self._clock.now()):
            self._meter.endpoint_paused(found.pause)
            log.warning(
                "a webhook endpoint was paused",
                extra={"tenant": delivery.tenant, "webhook": delivery.endpoint_id, "reason": found.pause},
            )

    def _count(self, delivery: Claimed, found: Verdict, seconds: float) -> None:
        where = {"tenant": delivery.tenant, "webhook": delivery.endpoint_id, "delivery": delivery.id}
        fields = {**where, "event_type": delivery.event_type, "tries": delivery.tries, "seconds": round(seconds, 3)}
        match found:
            case Delivered(status):
                self._meter.tried("delivered", None, seconds)
                if delivery.tries == 1:
                    self._meter.delay((self._clock.now() - delivery.create_time).total_seconds())
                log.debug("a webhook was delivered", extra={**fields, "status": status})
            case Failed(reason, status):
                self._meter.tried("failed", reason, seconds)
                why = {**fields, "reason": reason, "status": status or 0}
                log.info("a webhook was not delivered; it is tried again", extra=why)
            case Dead(reason, status):
                self._meter.tried("dead", reason, seconds)
                log.warning("a webhook was given up", extra={**fields, "reason": reason, "status": status or 0})
