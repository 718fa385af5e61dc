"""Webhooks: the endpoints of tenants for the API, and the deliveries for the process that sends them.

Every method raises services.errors.Unavailable if the database cannot be reached.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.retention import Due
from services.orchestrator.domain.webhook import (
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointKey,
    NewEndpoint,
    PauseReason,
)


@dataclass(frozen=True, slots=True)
class Undelivered:
    """How many deliveries of an endpoint have not arrived; each counted up to a limit of the adapter."""

    waiting: int
    dead: int


class Endpoints(Protocol):
    """The endpoints of all tenants. Each change and its entry in the audit log are one transaction."""

    async def create(self, new: NewEndpoint, act: Act) -> tuple[Endpoint, str]:
        """Makes an endpoint. Returns it with its secret; an earlier one of the same key without, and unchanged.

        Raises RequestIdReused if the earlier one is another or deleted, PreconditionFailed if there are too many.
        """

    async def get(self, key: EndpointKey) -> Endpoint:
        """Returns an endpoint. Raises NotFound."""

    async def page(self, tenant: str, before: int | None, limit: int) -> Sequence[Endpoint]:
        """Returns endpoints of a tenant with lower numbers than `before`, the newest first."""

    async def change(self, key: EndpointKey, decide: Callable[[Endpoint], Endpoint], act: Act) -> Endpoint:
        """Stores what `decide` returns for the locked endpoint. Raises NotFound, and what `decide` raises.

        One that becomes active, does not fail any more, or has another URL, is tried at once, and its deliveries begin
        as if they had not been tried. Of one that becomes disabled, what waits stays, and is sent when it is
        active again.
        """

    async def delete(self, key: EndpointKey, act: Act) -> None:
        """Deletes an endpoint: nothing more is recorded for it or sent to it. A repeat changes nothing.

        Raises NotFound.
        """

    async def rotate(self, key: EndpointKey, request_id: str, overlap: timedelta, act: Act) -> tuple[Endpoint, str]:
        """Gives an endpoint another secret, and returns both. The one before signs too for the overlap.

        The request of the last rotation changes nothing, and gets the same secret. Raises NotFound.
        """

    async def test(self, key: EndpointKey, act: Act) -> Delivery:
        """Makes a delivery of a test, and has it tried at once; one that waits already is returned.

        Raises NotFound, and PreconditionFailed if the endpoint is not active.
        """

    async def deliveries(
        self, key: EndpointKey, state: DeliveryState | None, before: int | None, limit: int
    ) -> Sequence[Delivery]:
        """Returns deliveries with lower numbers than `before`, the newest first. Raises NotFound."""

    async def replay(self, key: EndpointKey, ids: Sequence[str], act: Act) -> int:
        """Has deliveries sent again that are dead or were delivered; those that wait do so already.

        Returns how many there are. Raises NotFound, also if one of the ids is none of a delivery: then none is sent.
        """

    async def replay_dead(self, key: EndpointKey, since: datetime, act: Act, *, limit: int) -> int:
        """Has dead deliveries of events since a time sent again, the oldest first. Returns how many.

        Raises NotFound.
        """

    async def undelivered(self, endpoint: int) -> Undelivered:
        """Returns how many deliveries have not arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that this process is to send now, and what it needs for that."""

    number: int
    claim: int
    """Grows with each claim of the delivery: what an earlier one reports does not count."""
    id: str
    """The `webhook-id`."""
    tenant: str
    endpoint: int
    """Its number."""
    endpoint_id: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    """Those that sign now, the newest first: `whsec_…`."""
    event_type: str
    payload: str = field(repr=False)
    """The body: the same text at each try of this release."""
    create_time: datetime
    """When it happened."""
    tries: int
    """This one too, since the beginning, the last replay, or the end of a pause."""
    failing_since: datetime | None
    """Of the endpoint, before this try; None: the last one has succeeded."""
    failures: int
    """Of the endpoint, one after the other."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try has failed."""

    status: int | None
    """Of the HTTP answer; None: there was no answer."""
    error: str
    """For the owner of the endpoint, without anything of the answer's body."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What all tenants' deliveries wait for; each counted up to a limit of the adapter."""

    waiting: int
    """For active endpoints."""
    oldest_time: datetime | None
    """When the oldest of them happened."""
    due_time: datetime | None
    """Since when an endpoint that does not fail, and may get more now, has been given none of what is due for it."""
    dead: int
    failing_endpoints: int
    """Active ones whose last try failed."""
    paused_endpoints: int


class Deliveries(Protocol):
    """The deliveries of all tenants, for the processes that send them."""

    async def claim(
        self, limit: int, now: datetime, lease: timedelta, *, most_per_endpoint: int, failing: bool | None = None
    ) -> Sequence[Claimed]:
        """Takes deliveries that are due, at most so many, those first that have waited longest.

        `failing`: only those of endpoints whose last try failed, or only of the others; None: of all.

        One that cannot be read is logged and left out.

        No other process gets them until the lease ends; then they count as not reported, and are due again. Over all
        processes an endpoint has at most `most_per_endpoint` at a time, and one at a time while it fails. A delivery is
        due when its endpoint is active and not held, and all earlier ones of its subject are delivered or dead.
        """

    async def delivered(self, claimed: Claimed, now: datetime, status: int) -> bool:
        """Records a success, which ends the failing of the endpoint. Returns False if the claim is not the newest.

        If the endpoint was left alone, what could not reach it is due now. What it refused keeps its time.
        """

    async def failed(
        self, claimed: Claimed, failure: Failure, now: datetime, next_try: datetime, *, hold_until: datetime | None
    ) -> bool:
        """Records a failure, and when the delivery is tried again. Returns False if the claim is not the newest.

        `hold_until`: nothing at all is sent to the endpoint before that; None: its other deliveries go on. Tries that
        fail together, claimed in the same state of the endpoint, count as one failure of it; one at a URL
        that the endpoint has no more counts for nothing.
        """

    async def dead(
        self, claimed: Claimed, failure: Failure, now: datetime, *, hold_until: datetime | None = None
    ) -> bool:
        """Records the last failure of a delivery; the next of its subject is due. Returns False as `failed`."""

    async def release(self, claimed: Claimed, time: datetime) -> None:
        """Gives a delivery back that was not tried: it is due from that time on, and the try does not count."""

    async def pause(self, claimed: Claimed, reason: PauseReason, now: datetime) -> bool:
        """Pauses the endpoint of a delivery until its tenant activates it.

        Returns False if it is not active any more, or has another URL by now.
        """

    async def backlog(self, now: datetime) -> Backlog:
        """Returns what waits, for metrics."""


class OldDeliveries(Protocol):
    """Deliveries that are due to be removed. Tenants under a legal hold are left out.

    Due are deliveries of events before a time, unless they wait for an active endpoint, and all of deleted endpoints.
    """

    async def due(self, before: datetime) -> Due:
        """Returns what is due."""

    async def remove(self, before: datetime, *, limit: int) -> int:
        """Removes deliveries that are due, at most so many, and deleted endpoints without any. Returns how many."""
