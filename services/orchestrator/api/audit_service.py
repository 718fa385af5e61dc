"""AuditService: the audit log, for operators and for the tenants' own admins."""

import re
from dataclasses import dataclass

import grpc
from i2v.admin.v1 import audit_pb2, audit_pb2_grpc

from services.orchestrator.api import proto_values
from services.orchestrator.api.acting import tenant_of
from services.orchestrator.domain.audit import AuditEntry
from services.orchestrator.ports.audit_log import AuditLog
from services.reasons import RequestReason


@dataclass(frozen=True, slots=True)
class AuditService(audit_pb2_grpc.AuditServiceServicer):
    """Answers the RPCs of audit.proto."""

    log: AuditLog

    async def ListAuditEntries(
        self, request: audit_pb2.ListAuditEntriesRequest, context: grpc.ServicerContext
    ) -> audit_pb2.ListAuditEntriesResponse:
        """Returns a page of entries, the newest first."""
        tenant, size = tenant_of(request.tenant, may_be_all=True), proto_values.page_size(request.page_size)
        if request.page_token and not re.fullmatch(r"[1-9][0-9]{0,17}", request.page_token):
            raise proto_values.refuse(
                "page_token", "is not one that this method gave", RequestReason.PAGE_TOKEN_MALFORMED
            )
        before = int(request.page_token) if request.page_token else None
        found = await self.log.page(tenant=tenant, before=before, limit=size + 1)
        listed = [_entry(each) for each in found[:size]]
        shown = proto_values.fitting(listed)
        token = str(found[shown - 1].id) if len(found) > shown else ""
        return audit_pb2.ListAuditEntriesResponse(entries=listed[:shown], next_page_token=token)


def _entry(entry: AuditEntry) -> audit_pb2.AuditEntry:
    act = entry.act
    return audit_pb2.AuditEntry(
        id=entry.id,
        time=proto_values.timestamp(act.time),
        actor=act.actor,
        action=act.action,
        target=act.target,
        tenant=f"tenants/{act.tenant}" if act.tenant else "",
        reason=act.reason,
        outcome=entry.outcome,
        before=entry.before,
        after=entry.after,
        call_id=act.call,
    )
