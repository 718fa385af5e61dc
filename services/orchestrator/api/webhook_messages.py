"""Proto from domain: endpoints of webhooks, and their deliveries."""

from i2v.v1 import webhook_pb2

from services.orchestrator.api.proto_values import timestamp
from services.orchestrator.domain.webhook import Delivery, DeliveryState, Endpoint, EndpointKey, EndpointState
from services.orchestrator.ports.webhooks import Undelivered

STATES = {
    EndpointState.ACTIVE: webhook_pb2.WebhookEndpoint.ACTIVE,
    EndpointState.PAUSED: webhook_pb2.WebhookEndpoint.PAUSED,
    EndpointState.DISABLED: webhook_pb2.WebhookEndpoint.DISABLED,
}
DELIVERY_STATES = {
    webhook_pb2.WebhookDelivery.WAITING: DeliveryState.WAITING,
    webhook_pb2.WebhookDelivery.DELIVERED: DeliveryState.DELIVERED,
    webhook_pb2.WebhookDelivery.DEAD: DeliveryState.DEAD,
}
NUMBERS = {state: number for number, state in DELIVERY_STATES.items()}


def endpoint(given: Endpoint, undelivered: Undelivered | None = None) -> webhook_pb2.WebhookEndpoint:
    """Returns an endpoint, with what has not arrived if that was counted."""
    result = webhook_pb2.WebhookEndpoint(
        name=f"webhooks/{given.key.id}",
        url=given.url,
        event_types=given.event_types,
        description=given.description,
        state=STATES[given.state],
        create_time=timestamp(given.create_time),
        update_time=timestamp(given.update_time),
        secret_create_time=timestamp(given.secret_time),
        failures=given.failures,
    )
    for field in ("old_secret_expire_time", "failing_since", "pause_time"):
        if (time := getattr(given, field)) is not None:
            getattr(result, field).CopyFrom(timestamp(time))
    if given.pause_reason is not None:
        result.pause_reason = webhook_pb2.WebhookEndpoint.PauseReason.Value(given.pause_reason.name)
    if undelivered is not None:
        result.waiting, result.dead = undelivered.waiting, undelivered.dead
    return result


def delivery(key: EndpointKey, given: Delivery) -> webhook_pb2.WebhookDelivery:
    """Returns a delivery of an endpoint."""
    result = webhook_pb2.WebhookDelivery(
        name=f"webhooks/{key.id}/deliveries/{given.id}",
        event_type=given.event_type,
        subject=given.subject,
        sequence=given.sequence or 0,
        state=NUMBERS[given.state],
        create_time=timestamp(given.create_time),
        tries=given.tries,
        last_status=given.last_status or 0,
        last_error=given.last_error,
    )
    for field, time in (
        ("next_try_time", given.next_try_time),
        ("last_try_time", given.last_try_time),
        ("deliver_time", given.delivered_time),
    ):
        if time is not None:
            getattr(result, field).CopyFrom(timestamp(time))
    return result
