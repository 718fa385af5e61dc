"""Who calls: from an API key to a tenant and its plan. Keys are known by their SHA-256 alone.

A key is 32 random bytes, so a fast digest guards it as well as a slow one would. What a key is good for is remembered
for half a minute; a revoked one works no longer than that.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from services.errors import PermissionDenied, PreconditionFailed, Unauthenticated
from services.orchestrator.admit import Caller
from services.orchestrator.domain.quota import Plan
from services.orchestrator.ports.store import Store
from services.orchestrator.ports.system import Clock
from services.rpc.auth import principal

OPERATOR = "!operator"
"""Who calls with the operators' key: no tenant can have this name."""
REMEMBER = timedelta(seconds=30)
REMEMBER_AT_MOST = 10_000


def digest(key: str) -> str:
    """Returns what is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class Tenants:
    """Looks keys up and remembers what they are good for."""

    def __init__(self, store: Store, plans: Mapping[str, Plan], clock: Clock, operator_key: str = "") -> None:
        """`operator_key` is the operators' credential; empty: nobody is one."""
        self._operator = digest(operator_key) if operator_key else ""
        self._store = store
        self._plans = plans
        self._clock = clock
        self._known: dict[str, tuple[datetime, str]] = {}
        self._plan_of: dict[str, Plan] = {}

    async def verify(self, key: str) -> str:
        """Returns the tenant of a key. Raises Unauthenticated."""
        hashed, now = digest(key), self._clock.now()
        if self._operator and hmac.compare_digest(hashed, self._operator):
            return OPERATOR
        if (known := self._known.get(hashed)) is not None and known[0] > now:
            return known[1]
        found = await self._store.tenant_of_key(hashed)
        if found is None:
            self._known.pop(hashed, None)
            raise Unauthenticated("This API key is not known. Ask the operators for one.", reason="API_KEY_UNKNOWN")
        tenant, plan = found
        if plan not in self._plans:
            raise PreconditionFailed(
                f"The plan {plan!r} of this tenant is not configured. Tell the operators.",
                reason="PLAN_UNKNOWN",
                metadata={"plan": plan},
            )
        if len(self._known) >= REMEMBER_AT_MOST:
            self._known.clear()
        self._known[hashed] = (now + REMEMBER, tenant)
        self._plan_of[tenant] = self._plans[plan]
        return tenant

    def caller(self) -> Caller:
        """Returns who makes the RPC that is being answered."""
        who = principal()
        if who.tenant == OPERATOR:
            what = "The operators' key is no tenant's: it has no jobs, assets or budgets."
            raise PermissionDenied(what, reason="TENANTS_ONLY")
        return Caller(who.tenant, who.user, self._plan_of[who.tenant])

    def demand_operator(self) -> None:
        """Raises PermissionDenied unless an operator makes the RPC that is being answered."""
        if principal().tenant != OPERATOR:
            raise PermissionDenied("Only operators may do this.", reason="OPERATORS_ONLY")
