"""UsageService: limits, sums, the ledger and statements."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

import grpc
from i2v.v1 import usage_pb2, usage_pb2_grpc

from services.orchestrator.api import page_tokens, preview_messages, proto_values, usage_messages, usage_requests
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.api.usage_feed_registry import UsageFeeds
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.ledger import Entry
from services.orchestrator.domain.limits.asked_limit import AskedLimit
from services.orchestrator.domain.limits.calendar import Per, Period
from services.orchestrator.domain.limits.limit import Subject
from services.orchestrator.domain.limits.measure import Spend
from services.orchestrator.domain.usage import Opening, Owner, Sums
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.counters import Counters
from services.orchestrator.ports.ledger import Ledger, Place

ENTRIES = 100
"""Ledger entries in an answer of GetUsage, at most."""


@dataclass(frozen=True, slots=True)
class UsageService(usage_pb2_grpc.UsageServiceServicer):
    """Answers the RPCs of usage.proto."""

    counters: Counters
    ledger: Ledger
    callers: Authentication
    clock: Clock
    feeds: UsageFeeds

    async def GetUsage(self, request: usage_pb2.GetUsageRequest, context: grpc.ServicerContext) -> usage_pb2.Usage:
        """Returns every limit, the budgets of the current period and the newest ledger entries."""
        caller = self.callers.caller()
        statuses = await self.counters.status(caller)
        entries = await self.ledger.newest(Owner(caller.tenant, caller.user), limit=ENTRIES)
        month = usage_messages.status_of(statuses, Subject.TENANT, Spend(), Per.MONTH).period
        assert month.end is not None
        return usage_pb2.Usage(
            plan=caller.plan.name,
            period=month.key,
            reset_time=proto_values.timestamp(month.end),
            tenant=usage_messages.account(statuses, Subject.TENANT),
            user=usage_messages.account(statuses, Subject.USER),
            entries=[usage_messages.entry(entry) for entry in entries],
            limits=[preview_messages.limit(AskedLimit(status), caller) for status in statuses],
        )

    async def WatchUsage(
        self, request: usage_pb2.WatchUsageRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[usage_pb2.WatchUsageResponse]:
        """Streams the limits of the caller, their changes and their warnings."""
        async with aclosing(self.feeds.watch(self.callers.caller)) as responses:
            async for response in responses:
                yield response

    async def QueryUsage(
        self, request: usage_pb2.QueryUsageRequest, context: grpc.ServicerContext
    ) -> usage_pb2.QueryUsageResponse:
        """Returns a page of sums of the ledger."""
        size = proto_values.page_size(request.page_size)
        query = usage_requests.query(request, self.callers.caller(), self.clock.now())
        asked = (*query.by, query.start.isoformat(), query.end.isoformat(), str(request.whole_tenant))
        after = page_tokens.decode(request.page_token, asked, len(query.by))
        found, total = await self.ledger.sums(query, after=after, limit=size + 1)
        shown = found[:size]
        return usage_pb2.QueryUsageResponse(
            groups=[usage_pb2.UsageGroup(values=each.values, sums=usage_messages.sums(each.sums)) for each in shown],
            total=usage_messages.sums(total),
            start_time=proto_values.timestamp(query.start),
            end_time=proto_values.timestamp(query.end),
            next_page_token=page_tokens.encode(shown[-1].values, asked) if len(found) > size else "",
        )

    async def ListLedgerEntries(
        self, request: usage_pb2.ListLedgerEntriesRequest, context: grpc.ServicerContext
    ) -> usage_pb2.ListLedgerEntriesResponse:
        """Returns a page of the ledger, the newest entries first."""
        size = proto_values.page_size(request.page_size)
        owner, kind, job = usage_requests.entries(request, self.callers.caller())
        asked = (kind or "", job, owner.user or "", str(request.whole_tenant))
        before = _place(page_tokens.decode(request.page_token, asked, 3))
        found = await self.ledger.newest(owner, limit=size + 1, kind=kind, job=job, before=before)
        token = page_tokens.encode(_parts(found[size - 1]), asked) if len(found) > size else ""
        return usage_pb2.ListLedgerEntriesResponse(
            entries=[usage_messages.entry(each) for each in found[:size]], next_page_token=token
        )

    async def StreamStatement(
        self, request: usage_pb2.StreamStatementRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[usage_pb2.StreamStatementResponse]:
        """Streams the entries of a month, with their sums at the end."""
        caller, now = self.callers.caller(), self.clock.now()
        month = usage_requests.month(request.month, caller, now)
        owner = usage_requests.owner(caller, whole_tenant=request.whole_tenant)
        sums, counted = Sums(), Sums()
        async with aclosing(self.ledger.statement(owner, month)) as parts:
            async for part in parts:
                if isinstance(part, Opening):
                    counted = part.counted
                    yield usage_pb2.StreamStatementResponse(header=_header(caller, owner, month, part, now))
                else:
                    sums = sums.plus(part)
                    entries = usage_pb2.StatementEntries(entries=map(usage_messages.entry, part))
                    yield usage_pb2.StreamStatementResponse(entries=entries)
        trailer = usage_pb2.StatementTrailer(sums=usage_messages.sums(sums), counted=usage_messages.sums(counted))
        yield usage_pb2.StreamStatementResponse(trailer=trailer)


def _header(caller: Caller, owner: Owner, month: Period, opening: Opening, now: datetime) -> usage_pb2.StatementHeader:
    assert month.start is not None and month.end is not None
    limit = opening.limit_micros
    return usage_pb2.StatementHeader(
        tenant=owner.tenant,
        user=owner.user or "",
        plan=caller.plan.name,
        month=month.key,
        start_time=proto_values.timestamp(month.start),
        end_time=proto_values.timestamp(month.end),
        time_zone=caller.calendar.time_zone,
        create_time=proto_values.timestamp(now),
        reserved_before=proto_values.money(opening.reserved_before_micros),
        limit=None if limit is None else proto_values.money(limit),
    )


def _parts(entry: Entry) -> tuple[str, str, str]:
    return entry.time.isoformat(), entry.reference, entry.kind.value


def _place(parts: list[str] | None) -> Place | None:
    """Returns the place in a token. Raises InvalidInput if it has no time."""
    if parts is None:
        return None
    try:
        time = datetime.fromisoformat(parts[0])
    except ValueError:
        raise page_tokens.malformed() from None
    if time.tzinfo is None:
        raise page_tokens.malformed()
    return Place(time, parts[1], parts[2])
