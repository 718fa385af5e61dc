"""Webhooks: endpoints of a tenant, and the deliveries of events to them. Pure.

An event becomes a delivery for each endpoint that wants its type, in the transaction of the event. The id of a
delivery is its `webhook-id`: it stays the same over tries and replays.
"""

import base64
import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.errors import InvalidInput, Violation
from services.orchestrator.domain import event as events
from services.reasons import WebhookReason

ENDPOINTS_MOST = 20
"""Endpoints of a tenant."""
DESCRIPTION_CHARACTERS = 200
SECRET_PREFIX = "whsec_"
OVERLAP, OVERLAP_MOST = timedelta(hours=24), timedelta(days=7)
"""How long the secret before a rotation signs too: as a rule, and at most."""
LEFT_ALONE = 3
"""Failures in a row from which nothing is sent to an endpoint for a while."""
AT_ONCE = 8
"""Requests to one endpoint at a time, over all processes."""
ID_PREFIX = "evt_"
ERROR_CHARACTERS = 500


class EventType(StrEnum):
    """What an endpoint can ask for."""

    JOB_SUBMITTED = "job.submitted"
    JOB_STARTED = "job.started"
    JOB_PROMPT_WRITTEN = "job.prompt_written"
    JOB_FRAGMENT_READY = "job.fragment_ready"
    JOB_WARNED = "job.warned"
    JOB_REROUTED = "job.rerouted"
    JOB_RETRYING = "job.retrying"
    JOB_RECONCILING = "job.reconciling"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    ASSET_CREATED = "asset.created"
    ASSET_DELETED = "asset.deleted"
    USAGE_WARNING = "usage.warning"


TEST = "webhook.test"
"""The type of a test. Every endpoint takes it, and none asks for it."""
USUAL = tuple(each for each in EventType if each is not EventType.JOB_FRAGMENT_READY)
"""What an endpoint gets that names no types. A video has many fragments."""
OF_KIND: dict[type[events.Body], EventType] = {
    events.Admitted: EventType.JOB_SUBMITTED,
    events.Started: EventType.JOB_STARTED,
    events.PromptWritten: EventType.JOB_PROMPT_WRITTEN,
    events.FragmentReady: EventType.JOB_FRAGMENT_READY,
    events.Warned: EventType.JOB_WARNED,
    events.Rerouted: EventType.JOB_REROUTED,
    events.Retrying: EventType.JOB_RETRYING,
    events.Reconciling: EventType.JOB_RECONCILING,
    events.Succeeded: EventType.JOB_SUCCEEDED,
    events.Failed: EventType.JOB_FAILED,
    events.Cancelled: EventType.JOB_CANCELLED,
}
"""The type of each kind of a job's event. Kinds that are not here are for watchers alone."""


class EndpointState(StrEnum):
    """Whether an endpoint gets events."""

    ACTIVE = "active"
    PAUSED = "paused"
    """The service stopped sending after failures. Events are kept, and are sent when it is active again."""
    DISABLED = "disabled"
    """The tenant has switched it off. Events are not kept."""
    DELETED = "deleted"


class PauseReason(StrEnum):
    """Why the service has paused an endpoint."""

    FAILING = "failing"
    """Nothing was taken for a long time."""
    GONE = "gone"
    """It answered 410 Gone."""


class DeliveryState(StrEnum):
    """How far a delivery is."""

    WAITING = "waiting"
    """For its first try, its next one, or for an earlier delivery of its subject."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """The last try has failed. A replay begins again."""


@dataclass(frozen=True, slots=True)
class EndpointKey:
    """Names an endpoint for its tenant."""

    tenant: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint, without its secrets."""

    key: EndpointKey
    number: int
    """Grows from one endpoint to the next."""
    url: str
    event_types: tuple[str, ...]
    """Those of a newer release too."""
    description: str
    state: EndpointState
    create_time: datetime
    update_time: datetime
    secret_time: datetime
    """When its secret was made."""
    old_secret_expire_time: datetime | None = None
    """Until then the secret before signs too; None: there is none."""
    failing_since: datetime | None = None
    """When the first of the failures was that no success has followed; None: the last try succeeded."""
    failures: int = 0
    """Failed tries since then."""
    pause_reason: PauseReason | None = None
    pause_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEndpoint:
    """An endpoint that is to be made."""

    key: EndpointKey
    url: str
    event_types: tuple[EventType, ...]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one endpoint, as lists show it."""

    id: str
    """The `webhook-id`."""
    number: int
    event_type: str
    subject: str
    """What it is about, such as `jobs/{id}`: deliveries of one subject are sent in their order."""
    sequence: int | None
    """Of the job's event; None: it is about no job."""
    state: DeliveryState
    create_time: datetime
    tries: int
    next_try_time: datetime | None
    """None: it does not wait."""
    last_try_time: datetime | None = None
    last_status: int | None = None
    """Of the HTTP answer; None: there was no answer."""
    last_error: str = ""
    delivered_time: datetime | None = None


def event_types(names: tuple[str, ...], field: str = "event_types") -> tuple[EventType, ...]:
    """Returns the types that an endpoint asks for, each once; without any the usual ones. Raises InvalidInput."""
    known = {each.value: each for each in EventType}
    if len(names) > len(known):
        what = f"has {len(names):,} types; there are {len(known)}, and each is given once"
        raise InvalidInput([Violation(field, what, WebhookReason.EVENT_TYPES_TOO_MANY)])
    if unknown := [name for name in names if name not in known]:
        what = f"has {unknown[0][:80]!r}; it is one of {', '.join(known)}"
        raise InvalidInput([Violation(field, what, WebhookReason.EVENT_TYPE_UNKNOWN)])
    return tuple(each for each in EventType if each in names) or USUAL


def switched(endpoint: Endpoint, state: EndpointState) -> Endpoint:
    """Returns an endpoint in a state that its tenant has chosen: what it failed before does not count any more."""
    return replace(endpoint, state=state, failing_since=None, failures=0, pause_reason=None, pause_time=None)


def moved(endpoint: Endpoint, url: str) -> Endpoint:
    """Returns an endpoint with a URL: what another one failed does not count."""
    return endpoint if url == endpoint.url else replace(endpoint, url=url, failing_since=None, failures=0)


def demand_description(text: str, field: str = "description") -> None:
    """Raises InvalidInput if a description is too long or not printable."""
    if len(text) > DESCRIPTION_CHARACTERS or not text.isprintable():
        what = f"has {len(text):,} characters; give at most {DESCRIPTION_CHARACTERS} printable ones"
        raise InvalidInput([Violation(field, what, WebhookReason.WEBHOOK_DESCRIPTION_MALFORMED)])


def demand_overlap(overlap: timedelta, field: str = "overlap") -> None:
    """Raises InvalidInput if a secret cannot sign for so long after a rotation."""
    if not timedelta() <= overlap <= OVERLAP_MOST:
        what = f"is {overlap.total_seconds():g} s; 0 s to {OVERLAP_MOST.days} days are allowed"
        raise InvalidInput([Violation(field, what, WebhookReason.WEBHOOK_OVERLAP_OUT_OF_RANGE)])


def secret(key: bytes, endpoint: int, salt: str) -> str:
    """Returns a secret of an endpoint, in the form of Standard Webhooks: 32 bytes that follow from the service's key.

    So the database has no secret next to the URL that it belongs to, and no statement has one.
    """
    made = hmac.new(key, f"i2v webhook {endpoint} {salt}".encode(), "sha256").digest()
    return SECRET_PREFIX + base64.b64encode(made).decode()
