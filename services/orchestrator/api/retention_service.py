"""RetentionService: what operators see and do about the removal of old things, and legal holds."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import grpc
from i2v.admin.v1 import retention_pb2, retention_pb2_grpc

from services.orchestrator.api import proto_values
from services.orchestrator.api.acting import Acting
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.retention import Due, Kind
from services.orchestrator.ports.retention import LegalHolds
from services.orchestrator.retention.ledger_folding import LedgerFolding
from services.orchestrator.retention.retention import Retention
from services.reasons import RetentionReason

KINDS = {
    retention_pb2.RetentionState.EVENTS: Kind.EVENTS,
    retention_pb2.RetentionState.JOBS: Kind.JOBS,
    retention_pb2.RetentionState.QUEUE_ENTRIES: Kind.QUEUE_ENTRIES,
    retention_pb2.RetentionState.CHECKPOINTS: Kind.CHECKPOINTS,
    retention_pb2.RetentionState.UPLOADS: Kind.UPLOADS,
    retention_pb2.RetentionState.LIBRARY: Kind.LIBRARY,
    retention_pb2.RetentionState.TRASH: Kind.TRASH,
    retention_pb2.RetentionState.BYTES: Kind.BYTES,
    retention_pb2.RetentionState.DELIVERIES: Kind.DELIVERIES,
}
NUMBERS = {kind: number for number, kind in KINDS.items()}
BATCHES = 20
"""Batches that one call removes, at most: it takes seconds."""


@dataclass(frozen=True, slots=True)
class RetentionService(retention_pb2_grpc.RetentionServiceServicer):
    """Answers the RPCs of retention.proto, for operators."""

    retention: Retention
    legal_holds: LegalHolds
    folding: LedgerFolding
    acting: Acting

    async def GetRetention(
        self, request: retention_pb2.GetRetentionRequest, context: grpc.ServicerContext
    ) -> retention_pb2.GetRetentionResponse:
        """Returns what is due of each kind, and the legal holds."""
        states = [
            _state(kind, self.retention.ages.days[kind], due) for kind, due in (await self.retention.due()).items()
        ]
        holds = [
            retention_pb2.LegalHold(tenant=f"tenants/{tenant}", reason=reason)
            for tenant, reason in (await self.legal_holds.all()).items()
        ]
        return retention_pb2.GetRetentionResponse(states=states, legal_holds=holds)

    async def RunRetention(
        self, request: retention_pb2.RunRetentionRequest, context: grpc.ServicerContext
    ) -> retention_pb2.RunRetentionResponse:
        """Removes some things of one kind that are due."""
        kind = KINDS.get(request.kind)
        if kind is None:
            raise proto_values.refuse(
                "kind", f"is {request.kind}, which is no kind", RetentionReason.RETENTION_KIND_UNKNOWN
            )
        async with self.acting.steps("RunRetention", f"retention/{kind}"):
            outcome = await self.retention.run(kind, BATCHES)
        return retention_pb2.RunRetentionResponse(removed=outcome.removed, more=outcome.more)

    async def SetLegalHold(
        self, request: retention_pb2.SetLegalHoldRequest, context: grpc.ServicerContext
    ) -> retention_pb2.LegalHold:
        """Keeps everything of a tenant from now on."""
        tenant = proto_values.resource_id(request.tenant, "tenants", field="tenant")
        async with self._change("SetLegalHold", tenant, request.reason) as act:
            await self.legal_holds.set(tenant, act.reason, act)
        return retention_pb2.LegalHold(tenant=request.tenant, reason=act.reason)

    async def ClearLegalHold(
        self, request: retention_pb2.ClearLegalHoldRequest, context: grpc.ServicerContext
    ) -> retention_pb2.ClearLegalHoldResponse:
        """Ends a legal hold."""
        tenant = proto_values.resource_id(request.tenant, "tenants", field="tenant")
        async with self._change("ClearLegalHold", tenant, request.reason) as act:
            await self.legal_holds.clear(tenant, act)
        return retention_pb2.ClearLegalHoldResponse()

    async def FoldLedger(
        self, request: retention_pb2.FoldLedgerRequest, context: grpc.ServicerContext
    ) -> retention_pb2.FoldLedgerResponse:
        """Folds the months of a tenant's ledger before a given one."""
        tenant = proto_values.resource_id(request.tenant, "tenants", field="tenant")
        if request.dry_run:
            months = await self.folding.fold(tenant, request.before, dry_run=True)
        else:
            async with self.acting.steps("FoldLedger", f"tenants/{tenant}", tenant=tenant):
                months = await self.folding.fold(tenant, request.before, dry_run=False)
        return retention_pb2.FoldLedgerResponse(
            months=[each.month for each in months],
            entries=sum(each.entries for each in months),
            balances=sum(each.balances for each in months),
        )

    def _change(self, action: str, tenant: str, reason: str) -> AbstractAsyncContextManager[Act]:
        return self.acting.change(action, f"tenants/{tenant}", reason, tenant=tenant)


def _state(kind: Kind, days: int, due: Due) -> retention_pb2.RetentionState:
    state = retention_pb2.RetentionState(kind=NUMBERS[kind], days=days, due=due.count)
    if due.oldest is not None:
        state.oldest_time.CopyFrom(proto_values.timestamp(due.oldest))
    return state
