"""Quotes: prices that a preview promises for some minutes, and that an admission with their token keeps."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.errors import PreconditionFailed
from services.orchestrator.admission.model_routing import Routing
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.price import CURRENCY, show
from services.orchestrator.domain.quote_token import Quote, Refusal, refusal, sign
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.service_secrets import ServiceSecrets
from services.reasons import RequestReason

SECRET = "quote-tokens"
REFUSALS = {
    Refusal.MALFORMED: (RequestReason.QUOTE_MALFORMED, "The quote token is not one of this service, or was changed."),
    Refusal.FOREIGN: (RequestReason.QUOTE_FOREIGN, "The quote token is for another spec, user or tenant."),
    Refusal.EXPIRED: (RequestReason.QUOTE_EXPIRED, "The quote token has expired."),
    Refusal.STALE: (RequestReason.QUOTE_STALE, "The prices have changed since the quote."),
}


@dataclass(frozen=True, slots=True)
class Quotes:
    """Signs quotes, and holds tokens against what a job costs now."""

    secrets: ServiceSecrets
    clock: Clock
    meter: Meter
    hold: timedelta
    """How long a quote holds."""

    async def token(self, routing: Routing, caller: Caller, fingerprint: str) -> tuple[str, datetime]:
        """Returns the token of a price, and when it expires. Raises Unavailable."""
        expire_time = self.clock.now() + self.hold
        token = sign(_quote(routing, caller, fingerprint), expire_time, await self.secrets.secret(SECRET))
        self.meter.quote("issued")
        return token, expire_time

    async def check(self, token: str, routing: Routing, caller: Caller, fingerprint: str) -> None:
        """Checks a token against what the job costs now. An empty one holds: the caller takes the price of now.

        Raises:
            PreconditionFailed: it does not hold for this job; metadata has the price of now.
            Unavailable: the database cannot be reached.
        """
        if not token:
            return
        quote = _quote(routing, caller, fingerprint)
        why = refusal(token, quote, self.clock.now(), await self.secrets.secret(SECRET))
        self.meter.quote(why or "valid")
        if why is None:
            return
        reason, what = REFUSALS[why]
        raise PreconditionFailed(
            f"{what} The job costs {show(routing.quote_micros)} now. Nothing was charged.",
            reason=reason,
            metadata={
                "field": "quote_token",
                "quote_micros": str(routing.quote_micros),
                "currency": CURRENCY,
                "card_version": routing.card_version,
            },
        )


def _quote(routing: Routing, caller: Caller, fingerprint: str) -> Quote:
    return Quote(caller.tenant, caller.user, fingerprint, routing.quote_micros, routing.prices_version)
