"""CostService: daily rollups, and what vendors are owed, for operators."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.admin.v1 import cost_pb2, cost_pb2_grpc

from services.orchestrator.api import admin_messages, page_tokens, proto_values
from services.orchestrator.domain.paid_call import OwedCall, PaidCall
from services.orchestrator.domain.rollup import Rollup, RollupFilter, RollupKey, RollupSums
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.paid_calls import PaidCalls
from services.orchestrator.ports.rollups import Rollups
from services.reasons import RequestReason

DAYS_MOST = 3660
PART = 500
"""Submissions in a part of the stream."""


@dataclass(frozen=True, slots=True)
class CostService(cost_pb2_grpc.CostServiceServicer):
    """Answers the RPCs of cost.proto."""

    rollups: Rollups
    paid_calls: PaidCalls
    clock: Clock

    async def ListDailyRollups(
        self, request: cost_pb2.ListDailyRollupsRequest, context: grpc.ServicerContext
    ) -> cost_pb2.ListDailyRollupsResponse:
        """Returns a page of rollups; the first page is of this moment."""
        size, which = proto_values.page_size(request.page_size), _filter(request, self.clock.now())
        asked = (which.since.isoformat(), which.until.isoformat(), which.tenant, which.model, which.operation)
        after = _key(page_tokens.decode(request.page_token, asked, 4))
        if after is None:
            await self.rollups.refresh()
        found = await self.rollups.page(which, after=after, limit=size + 1)
        shown = found.rollups[:size]
        return cost_pb2.ListDailyRollupsResponse(
            rollups=map(_rollup, shown),
            total=_sums(found.total),
            compute_time=admin_messages.moment(found.time),
            next_page_token=page_tokens.encode(_place(shown[-1].key), asked) if len(found.rollups) > size else "",
        )

    async def StreamVendorCalls(
        self, request: cost_pb2.StreamVendorCallsRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[cost_pb2.StreamVendorCallsResponse]:
        """Streams the submissions to a vendor. No connection to the database is kept while the caller reads."""
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", request.provider):
            raise proto_values.refuse("provider", "is no name of a provider", RequestReason.NAME_MALFORMED)
        since, until = _time(request.since, "since"), _time(request.until, "until")
        if until <= since:
            raise proto_values.refuse("until", "is not after `since`", RequestReason.INVALID_VALUE)
        after: PaidCall | None = None
        while part := await self.paid_calls.of_provider(request.provider, since, until, after=after, limit=PART):
            yield cost_pb2.StreamVendorCallsResponse(calls=map(_vendor_call, part))
            after = part[-1].call


def _filter(request: cost_pb2.ListDailyRollupsRequest, now: datetime) -> RollupFilter:
    """Returns which rollups are asked for. Raises InvalidInput."""
    today, first = now.astimezone(UTC).date(), _day(request.since_day, "since_day")
    until = _day(request.until_day, "until_day") or max(today, first or today)
    since = first or until.replace(day=1)
    if not 0 <= (until - since).days < DAYS_MOST:
        what = f"is {until}; it is the same day as {since} or one of the {DAYS_MOST - 1} days after it"
        raise proto_values.refuse("until_day", what, RequestReason.INVALID_VALUE)
    tenant = proto_values.resource_id(request.tenant, "tenants", field="tenant") if request.tenant else ""
    return RollupFilter(since=since, until=until, tenant=tenant, model=request.model, operation=request.operation)


def _day(text: str, field: str) -> date | None:
    return admin_messages.date_of(text, field) if text else None


def _time(given: Timestamp, field: str) -> datetime:
    """Returns a time. Raises InvalidInput, also for none."""
    try:
        time = given.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise proto_values.refuse(field, "is not a valid time", RequestReason.INVALID_VALUE) from None
    if not given.seconds:
        raise proto_values.refuse(field, "is missing", RequestReason.INVALID_VALUE)
    return time


def _place(key: RollupKey) -> tuple[str, str, str, str]:
    return key.day.isoformat(), key.tenant, key.model, key.operation


def _key(place: list[str] | None) -> RollupKey | None:
    """Returns the key in a token. Raises InvalidInput if its day is none."""
    if place is None:
        return None
    try:
        return RollupKey(date.fromisoformat(place[0]), *place[1:])
    except ValueError:
        raise page_tokens.malformed() from None


def _rollup(given: Rollup) -> cost_pb2.DailyRollup:
    key = given.key
    return cost_pb2.DailyRollup(
        day=key.day.isoformat(),
        tenant=f"tenants/{key.tenant}",
        model=key.model,
        operation=key.operation,
        sums=_sums(given.sums),
    )


def _sums(given: RollupSums) -> cost_pb2.RollupSums:
    return cost_pb2.RollupSums(
        admitted_jobs=given.admitted,
        jobs=given.jobs,
        video=proto_values.duration(given.video_ms),
        charged=proto_values.money(given.charged_micros),
        vendor_cost=proto_values.money(given.vendor_micros),
        margin=proto_values.money(given.margin_micros),
        slot_time=proto_values.duration(given.slot_ms),
    )


def _vendor_call(given: OwedCall) -> cost_pb2.VendorCall:
    call = given.call
    return cost_pb2.VendorCall(
        submission_id=call.submission_id,
        external_ref=call.external_ref or "",
        job=f"jobs/{call.job_id}",
        tenant=f"tenants/{given.tenant}",
        model=call.model,
        state=call.state,
        submit_time=proto_values.timestamp(call.submit_time),
        cost=proto_values.money(given.cost_micros),
    )
