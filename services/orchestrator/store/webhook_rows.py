"""Rows of webhooks as values, and the facts from which payloads are made."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from services.orchestrator.domain.event import Body
from services.orchestrator.domain.webhook import (
    ID_PREFIX,
    OF_KIND,
    TEST,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointKey,
    EndpointState,
    EventType,
    PauseReason,
    secret,
)
from services.orchestrator.domain.webhook_payload import AssetFact, Fact, JobFact, TestFact, UsageFact
from services.orchestrator.store import row_mapping

KINDS: dict[str, type[Body]] = {event_type.value: kind for kind, event_type in OF_KIND.items()}


def endpoint(row: Row[Any]) -> Endpoint:
    """Returns the endpoint of a `webhook_endpoints` row."""
    return Endpoint(
        key=EndpointKey(row.tenant, row.id),
        number=row.number,
        url=row.url,
        event_types=tuple(row.event_types),
        description=row.description,
        state=EndpointState(row.state),
        create_time=row.create_time,
        update_time=row.update_time,
        secret_time=row.secret_time,
        old_secret_expire_time=row.old_secret_expire_time,
        failing_since=row.failing_since,
        failures=row.failures,
        pause_reason=PauseReason(row.pause_reason) if row.pause_reason else None,
        pause_time=row.pause_time,
    )


def delivery(row: Row[Any]) -> Delivery:
    """Returns the delivery of a `webhook_deliveries` row."""
    state = DeliveryState(row.state)
    return Delivery(
        id=delivery_id(row.id),
        number=row.number,
        event_type=row.event_type,
        subject=row.subject,
        sequence=row.sequence,
        state=state,
        create_time=row.create_time,
        tries=row.tries,
        next_try_time=row.next_try_time if state is DeliveryState.WAITING else None,
        last_try_time=row.last_try_time,
        last_status=row.last_status,
        last_error=row.last_error,
        delivered_time=row.delivered_time,
    )


def fact(row: Row[Any]) -> Fact:
    """Returns what happened, of a `webhook_deliveries` row."""
    _, _, name = row.subject.partition("/")
    if row.event_type == TEST:
        return TestFact(name)
    if row.event_type == EventType.USAGE_WARNING:
        return UsageFact(row.body)
    if row.event_type in (EventType.ASSET_CREATED, EventType.ASSET_DELETED):
        return AssetFact(name, row.user, row.body)
    kind = KINDS.get(row.event_type)
    event = row_mapping.event(row.sequence, row.create_time, kind.__name__ if kind else row.event_type, row.body)
    return JobFact(name, row.user, event)


def secrets_of(row: Row[Any], key: bytes, now: datetime) -> tuple[str, ...]:
    """Returns the secrets of an endpoint that sign at a moment, the newest first."""
    found = [secret(key, row.endpoint, str(row.salt))]
    if row.old_salt is not None and now < row.old_secret_expire_time:
        found.append(secret(key, row.endpoint, str(row.old_salt)))
    return tuple(found)


def delivery_id(number: uuid.UUID) -> str:
    """Returns the `webhook-id` of a delivery."""
    return ID_PREFIX + number.hex


def uuid_of(text: str) -> uuid.UUID | None:
    """Returns what is stored of a `webhook-id`; None: it is none."""
    try:
        found = uuid.UUID(text.removeprefix(ID_PREFIX))
    except ValueError:
        return None
    return found if delivery_id(found) == text else None
