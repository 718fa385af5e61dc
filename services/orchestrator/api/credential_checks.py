"""What must hold of keys and tenants while a credential is used."""

from datetime import datetime

from services.errors import PermissionDenied, Unauthenticated
from services.orchestrator.domain.api_key import ApiKey
from services.orchestrator.domain.operator import Operator
from services.orchestrator.domain.tenant import TenantState
from services.orchestrator.ports.credentials import TenantAccess
from services.reasons import AccessReason


def demand_working(key: ApiKey | Operator, now: datetime) -> None:
    """Raises Unauthenticated if a key was revoked, or has expired."""
    if key.revoke_time is not None:
        raise Unauthenticated("This API key was revoked.", reason=AccessReason.API_KEY_REVOKED)
    if key.expire_time is not None and key.expire_time <= now:
        expired = key.expire_time.isoformat()
        raise Unauthenticated(
            f"This API key expired at {expired}.",
            reason=AccessReason.API_KEY_EXPIRED,
            metadata={"expire_time": expired},
        )


def demand_not_deleted(access: TenantAccess) -> None:
    """Raises Unauthenticated if a tenant was deleted."""
    if access.tenant.state is TenantState.DELETED:
        raise Unauthenticated("This tenant was deleted.", reason=AccessReason.API_KEY_REVOKED)


def demand_not_suspended(access: TenantAccess) -> None:
    """Raises PermissionDenied if a tenant is suspended."""
    if access.tenant.state is TenantState.SUSPENDED:
        what = "This tenant is suspended. It may read and download, but not submit or upload."
        raise PermissionDenied(what, reason=AccessReason.TENANT_SUSPENDED)
