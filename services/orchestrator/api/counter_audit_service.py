"""CounterAuditService: a full audit of the counters, for operators."""

from dataclasses import dataclass

import grpc
from i2v.admin.v1 import counter_audit_pb2, counter_audit_pb2_grpc

from services.orchestrator.api import proto_values
from services.orchestrator.domain.counter_difference import Amounts, Difference, DifferenceKind
from services.orchestrator.ports.counter_audits import CounterAudits

DIFFERENCES = 1000
"""Differences in an answer, at most."""
KINDS = {
    DifferenceKind.HOLDS: counter_audit_pb2.CounterDifference.HOLDS,
    DifferenceKind.LEDGER: counter_audit_pb2.CounterDifference.LEDGER,
    DifferenceKind.JOB: counter_audit_pb2.CounterDifference.JOB,
    DifferenceKind.ASSETS: counter_audit_pb2.CounterDifference.ASSETS,
    DifferenceKind.ROLLUP: counter_audit_pb2.CounterDifference.ROLLUP,
}


@dataclass(frozen=True, slots=True)
class CounterAuditService(counter_audit_pb2_grpc.CounterAuditServiceServicer):
    """Answers the RPCs of counter_audit.proto."""

    audits: CounterAudits

    async def AuditCounters(
        self, request: counter_audit_pb2.AuditCountersRequest, context: grpc.ServicerContext
    ) -> counter_audit_pb2.AuditCountersResponse:
        """Computes every counter again and returns the differences."""
        found = await self.audits.full(limit=DIFFERENCES + 1)
        last = await self.audits.last()
        return counter_audit_pb2.AuditCountersResponse(
            differences=[_difference(each) for each in found[:DIFFERENCES]],
            more=len(found) > DIFFERENCES,
            last_audit_time=None if last.time is None else proto_values.timestamp(last.time),
            last_audit_differences=last.differences,
        )


def _difference(found: Difference) -> counter_audit_pb2.CounterDifference:
    return counter_audit_pb2.CounterDifference(
        kind=KINDS[found.kind],
        tenant=found.tenant,
        subject=found.subject,
        measure=found.measure,
        period=found.period,
        job=f"jobs/{found.job}" if found.job else "",
        found=_amounts(found.found),
        expected=_amounts(found.expected),
    )


def _amounts(given: Amounts) -> counter_audit_pb2.AuditedAmounts:
    return counter_audit_pb2.AuditedAmounts(held=given.held, used=given.used, credit=given.credit)
