"""UsageService: limits and the ledger."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import grpc
from i2v.v1 import usage_pb2, usage_pb2_grpc

from services.orchestrator.api import proto_values
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.api.usage_feed_registry import UsageFeeds
from services.orchestrator.domain.ledger import Entry, Kind
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Subject
from services.orchestrator.domain.limits.measure import Measure, Spend, UnfinishedJobs
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.ports.counters import Counters
from services.orchestrator.ports.ledger import Ledger

ENTRIES = 100
"""Ledger entries in an answer, at most."""
KINDS = {kind: usage_pb2.LedgerEntry.Kind.Value(kind.name) for kind in Kind}


@dataclass(frozen=True, slots=True)
class UsageService(usage_pb2_grpc.UsageServiceServicer):
    """Answers the RPCs of usage.proto."""

    counters: Counters
    ledger: Ledger
    callers: Authentication
    feeds: UsageFeeds

    async def GetUsage(self, request: usage_pb2.GetUsageRequest, context: grpc.ServicerContext) -> usage_pb2.Usage:
        """Returns the budgets of the current period and the newest ledger entries."""
        caller = self.callers.caller()
        statuses = await self.counters.status(caller)
        entries = await self.ledger.newest(caller.tenant, caller.user, limit=ENTRIES)
        month = _status(statuses, Subject.TENANT, Spend(), Per.MONTH).period
        assert month.end is not None
        return usage_pb2.Usage(
            plan=caller.plan.name,
            period=month.key,
            reset_time=proto_values.timestamp(month.end),
            tenant=_account(statuses, Subject.TENANT),
            user=_account(statuses, Subject.USER),
            entries=[_entry(entry) for entry in entries],
        )

    async def WatchUsage(
        self, request: usage_pb2.WatchUsageRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[usage_pb2.WatchUsageResponse]:
        """Streams the limits of the caller, their changes and their warnings."""
        async with aclosing(self.feeds.watch(self.callers.caller)) as responses:
            async for response in responses:
                yield response


def _account(statuses: Sequence[LimitStatus], subject: Subject) -> usage_pb2.Account:
    money = _status(statuses, subject, Spend(), Per.MONTH)
    unfinished = _status(statuses, subject, UnfinishedJobs(), Per.AT_A_TIME)
    return usage_pb2.Account(
        budget=None if money.most is None else proto_values.money(money.most),
        reserved=proto_values.money(money.held),
        spent=proto_values.money(money.used),
        active_jobs=unfinished.held,
        active_jobs_limit=unfinished.most,
    )


def _status(statuses: Sequence[LimitStatus], subject: Subject, measure: Measure, per: Per) -> LimitStatus:
    """Returns the status of one of the limits that are always counted."""
    return next(
        each for each in statuses if (each.limit.subject, each.limit.measure, each.limit.per) == (subject, measure, per)
    )


def _entry(entry: Entry) -> usage_pb2.LedgerEntry:
    by_job = entry.kind in (Kind.RESERVE, Kind.SETTLE, Kind.REFUND)
    return usage_pb2.LedgerEntry(
        job=f"jobs/{entry.reference}" if by_job else "",
        kind=KINDS[entry.kind],
        reserved=proto_values.money(entry.reserved_micros),
        spent=proto_values.money(entry.spent_micros),
        credit=proto_values.money(entry.credit_micros) if entry.credit_micros else None,
        create_time=proto_values.timestamp(entry.time),
    )
