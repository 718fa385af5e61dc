"""What requests about webhooks ask for. A malformed one is refused by field."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from i2v.v1 import webhook_pb2

from services.orchestrator.api import page_tokens, proto_values
from services.orchestrator.domain import webhook
from services.orchestrator.domain.webhook import Endpoint, EndpointState
from services.orchestrator.domain.webhook_url import demand_url
from services.reasons import RequestReason, WebhookReason

FIELDS = ("url", "event_types", "description", "state")
NAMES_MOST = 100
DELIVERY = re.compile(r"webhooks/([A-Za-z0-9._-]{1,128})/deliveries/(evt_[0-9a-f]{32})")
STATES = {
    webhook_pb2.WebhookEndpoint.ACTIVE: EndpointState.ACTIVE,
    webhook_pb2.WebhookEndpoint.DISABLED: EndpointState.DISABLED,
}


@dataclass(frozen=True, slots=True)
class UrlRules:
    """Where endpoints may be."""

    is_public: Callable[[str], bool]
    """Whether an address is one of the internet."""
    private_hosts: Collection[str] = ()

    def demand(self, url: str, field: str = "url") -> None:
        """Raises InvalidInput unless webhooks may be sent to a URL."""
        demand_url(url, self.is_public, self.private_hosts, field)


def changes(request: webhook_pb2.UpdateEndpointRequest, rules: UrlRules) -> Callable[[Endpoint], Endpoint]:
    """Returns what applies the fields that the mask names. Raises InvalidInput."""
    paths, given = proto_values.masked(request.update_mask, FIELDS), request.endpoint
    values: dict[str, object] = {}
    if "url" in paths:
        rules.demand(given.url, "endpoint.url")
    if "event_types" in paths:
        values["event_types"] = webhook.event_types(tuple(given.event_types), "endpoint.event_types")
    if "description" in paths:
        webhook.demand_description(given.description, "endpoint.description")
        values["description"] = given.description
    state = _state(given) if "state" in paths else None

    def apply(before: Endpoint) -> Endpoint:
        after = replace(before, **values)  # type: ignore[arg-type]
        if "url" in paths:
            after = webhook.moved(after, given.url)
        return after if state is None else webhook.switched(after, state)

    return apply


def overlap(request: webhook_pb2.RotateSecretRequest) -> timedelta:
    """Returns how long the secret before a rotation signs too. Raises InvalidInput."""
    if not request.HasField("overlap"):
        return webhook.OVERLAP
    given = timedelta(milliseconds=proto_values.milliseconds(request.overlap, "overlap"))
    webhook.demand_overlap(given)
    return given


def replayed(request: webhook_pb2.ReplayDeliveriesRequest, webhook_id: str) -> list[str] | datetime:
    """Returns the ids of deliveries to send again, each once, or the time since which. Raises InvalidInput."""
    names = list(request.deliveries)
    if bool(names) == request.HasField("since") or len(names) > NAMES_MOST:
        what = f"has {len(names):,} names; give 1 to {NAMES_MOST}, or `since` and no names"
        raise proto_values.refuse("deliveries", what, WebhookReason.REPLAY_MALFORMED)
    if names:
        return list(dict.fromkeys(_delivery_id(name, webhook_id) for name in names))
    try:
        return request.since.ToDatetime(UTC)
    except (ValueError, OverflowError):
        what = "is not a valid time"
        raise proto_values.refuse("since", what, WebhookReason.REPLAY_MALFORMED) from None


def before(token: str, bound: Sequence[str]) -> int | None:
    """Returns the number before which a page begins. Raises InvalidInput."""
    place = page_tokens.decode(token, bound, 1)
    if place is None:
        return None
    [number] = place
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise page_tokens.malformed()
    return int(number)


def _state(given: webhook_pb2.WebhookEndpoint) -> EndpointState:
    state = STATES.get(given.state)
    if state is None:
        what = "is neither ACTIVE nor DISABLED; only the service pauses an endpoint"
        raise proto_values.refuse("endpoint.state", what, WebhookReason.WEBHOOK_STATE_UNKNOWN)
    return state


def _delivery_id(name: str, webhook_id: str) -> str:
    found = DELIVERY.fullmatch(name)
    if found is None or found[1] != webhook_id:
        what = f"has {name[:200]!r}; it looks like `webhooks/{webhook_id}/deliveries/evt_…`"
        raise proto_values.refuse("deliveries", what, RequestReason.NAME_MALFORMED)
    return found[2]
