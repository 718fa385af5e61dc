"""Who does what, for the audit log: acts of the caller of the current call, and those that were refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.errors import InvalidInput, PermissionDenied, ServiceError, Unavailable
from services.orchestrator.api import proto_values
from services.orchestrator.api.credential import OperatorCredential, TenantCredential
from services.orchestrator.domain.audit import DONE, REASON_CHARACTERS, Act, demand_reason
from services.orchestrator.ports.audit_log import AuditLog
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.meter import Meter
from services.reasons import AccessReason
from services.rpc import logs
from services.rpc.auth import principal

TARGET_CHARACTERS = 200
OWN = "tenants/-"
"""The tenant of whoever calls."""


@dataclass(frozen=True, slots=True)
class Acting:
    """The acts of the callers of a process."""

    clock: Clock
    log: AuditLog
    meter: Meter

    @asynccontextmanager
    async def change(
        self, action: str, target: str, reason: str, *, tenant: str = "", reason_needed: bool = True
    ) -> AsyncIterator[Act]:
        """Yields an act, to be logged by the transaction that does it. A refusal in the block is logged here."""
        act = self._act(action, target, reason, tenant)
        try:
            if reason or reason_needed:
                demand_reason_of_operator(reason)
            yield act
        except Unavailable:
            raise  # the database is away, or nothing was decided
        except ServiceError as error:
            await self.log.refused(act, _outcome(error))
            self.meter.acted(action, _outcome(error))
            raise
        self.meter.acted(action, DONE)

    @asynccontextmanager
    async def steps(self, action: str, target: str, *, tenant: str = "", reason: str = "") -> AsyncIterator[None]:
        """Logs an act of several transactions: before its first, and how it ended."""
        entry = await self.log.begin(self._act(action, target, reason, tenant))
        try:
            yield
        except ServiceError as error:
            await self.log.end(entry, _outcome(error))
            self.meter.acted(action, _outcome(error))
            raise
        await self.log.end(entry, DONE)
        self.meter.acted(action, DONE)

    def _act(self, action: str, target: str, reason: str, tenant: str) -> Act:
        return Act(
            time=self.clock.now(),
            actor=actor(),
            action=action,
            target=target[:TARGET_CHARACTERS],
            tenant=tenant[:TARGET_CHARACTERS],
            reason=reason[:REASON_CHARACTERS],
            call=logs.request_id(),
        )


def _outcome(error: ServiceError) -> str:
    """Returns the reason of a refusal; of malformed fields that of the first."""
    return error.violations[0].reason if isinstance(error, InvalidInput) and error.violations else error.reason


def actor() -> str:
    """Returns who makes the current call, in the audit log's words."""
    credential = principal().credential
    assert isinstance(credential, OperatorCredential | TenantCredential)
    return credential.actor


def demand_reason_of_operator(reason: str) -> None:
    """Raises InvalidInput if an operator gives no reason; a tenant's admin need not."""
    if reason or isinstance(principal().credential, OperatorCredential):
        demand_reason(reason)


def tenant_of(name: str, *, field: str = "tenant", may_be_all: bool = False) -> str:
    """Returns the id of the tenant that a request is about: the named one, or that of a tenant's admin.

    A tenant's admin may also name it `tenants/-`. With `may_be_all` it is empty for an operator who names none. Raises
    InvalidInput, PermissionDenied.
    """
    credential = principal().credential
    if isinstance(credential, OperatorCredential):
        if not name and may_be_all:
            return ""
        if not name:
            raise proto_values.refuse(field, "is missing; operators name the tenant", AccessReason.TENANT_MISSING)
        return proto_values.resource_id(name, "tenants", field=field)
    named = credential.tenant if name in ("", OWN) else proto_values.resource_id(name, "tenants", field=field)
    if named != credential.tenant:
        what = "A tenant's admin has access to this tenant alone."
        raise PermissionDenied(what, reason=AccessReason.OTHER_TENANT)
    return named
