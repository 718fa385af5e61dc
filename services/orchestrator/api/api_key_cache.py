"""API keys: from a key to its tenant and plan. Only the SHA-256 of a key is stored.

A key is 32 random bytes, so a fast digest protects it as well as a slow one. The tenant of a key is cached for half a
minute; a revoked key works no longer than that. An unknown key is cached for seconds, so a new key works soon.

Keys that this process has not seen as valid share two lookups at a time, so guesses do not take the database from known
callers.
"""

import asyncio
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta

from services.errors import PermissionDenied, PreconditionFailed, Unauthenticated, Unavailable
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.plan import Plan
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.tenants import Tenants
from services.reasons import CallReason
from services.rpc.auth import principal

OPERATOR = "!operator"
"""The tenant of the operators' key: no tenant can have this name."""
CACHE_TIME = timedelta(seconds=30)
CACHE_TIME_UNKNOWN = timedelta(seconds=3)
CACHE_SIZE = 10_000
UNSEEN_AT_ONCE, UNSEEN_WAITING = 2, 100
"""Lookups at a time of keys that this process has not seen as valid, and how many more calls may wait for one."""


def digest(key: str) -> str:
    """Returns the digest that is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class ApiKeys:
    """Looks up keys, and caches their tenants."""

    def __init__(self, tenants: Tenants, plans: Mapping[str, Plan], clock: Clock, operator_key: str = "") -> None:
        """`plans` are those that hold now. `operator_key` is the operators' credential; empty: there are none."""
        self._operator = digest(operator_key) if operator_key else ""
        self._tenants = tenants
        self._plans = plans
        self._clock = clock
        self._known: dict[str, tuple[datetime, str]] = {}
        self._unknown: OrderedDict[str, datetime] = OrderedDict()
        self._plan_of: dict[str, str] = {}
        self._lookups: dict[str, asyncio.Task[str | None]] = {}
        self._unseen_slots = asyncio.Semaphore(UNSEEN_AT_ONCE)
        self._unseen_lookups = 0

    async def verify(self, key: str) -> str:
        """Returns the tenant of a key. Raises Unauthenticated, and Unavailable while too many unknown keys arrive."""
        hashed, now = digest(key), self._clock.now()
        if self._operator and hmac.compare_digest(hashed, self._operator):
            return OPERATOR
        if (known := self._known.get(hashed)) is not None and known[0] > now:
            return known[1]
        if (until := self._unknown.get(hashed)) is not None and until > now:
            raise _unknown()
        lookup = self._lookups.get(hashed)
        if lookup is None:
            # All calls with this key share the lookup, and it does not end with the first of them.
            lookup = self._lookups[hashed] = asyncio.create_task(self._look_up(hashed, unseen=known is None))
            lookup.add_done_callback(lambda task: self._end_lookup(hashed, task))
        tenant = await asyncio.shield(lookup)
        if tenant is None:
            raise _unknown()
        return tenant

    async def _look_up(self, hashed: str, *, unseen: bool) -> str | None:
        if not unseen:
            return await self._find(hashed)
        if self._unseen_lookups >= UNSEEN_AT_ONCE + UNSEEN_WAITING:
            raise Unavailable("Too many unknown keys arrive now. Try again in a moment.", reason=CallReason.KEYS_BUSY)
        self._unseen_lookups += 1
        try:
            async with self._unseen_slots:
                return await self._find(hashed)
        finally:
            self._unseen_lookups -= 1

    async def _find(self, hashed: str) -> str | None:
        found, now = await self._tenants.of_key(hashed), self._clock.now()
        if found is None:
            self._known.pop(hashed, None)
            self._unknown[hashed] = now + CACHE_TIME_UNKNOWN
            self._unknown.move_to_end(hashed)
            if len(self._unknown) > CACHE_SIZE:
                self._unknown.popitem(last=False)
            return None
        self._plan(found.plan)
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        self._known[hashed] = (now + CACHE_TIME, found.id)
        self._unknown.pop(hashed, None)
        self._plan_of[found.id] = found.plan
        return found.id

    def _end_lookup(self, hashed: str, task: asyncio.Task[str | None]) -> None:
        del self._lookups[hashed]
        if not task.cancelled():
            task.exception()  # waiting calls have it; if all were cancelled, asyncio need not report it

    def caller(self) -> Caller:
        """Returns who makes the RPC that is being answered."""
        who = principal()
        if who.tenant == OPERATOR:
            what = "The operators' key is no tenant's: it has no jobs, assets or budgets."
            raise PermissionDenied(what, reason=CallReason.TENANTS_ONLY)
        return Caller(who.tenant, who.user, self._plan(self._plan_of[who.tenant]))

    def _plan(self, name: str) -> Plan:
        """Returns the plan as it is now. Raises PreconditionFailed if it is not in the file any more."""
        if (plan := self._plans.get(name)) is not None:
            return plan
        raise PreconditionFailed(
            f"The plan {name!r} of this tenant is not configured. Tell the operators.",
            reason=CallReason.PLAN_UNKNOWN,
            metadata={"plan": name},
        )

    def demand_operator(self) -> None:
        """Raises PermissionDenied unless an operator makes the RPC that is being answered."""
        if principal().tenant != OPERATOR:
            raise PermissionDenied("Only operators may do this.", reason=CallReason.OPERATORS_ONLY)


def _unknown() -> Unauthenticated:
    return Unauthenticated("This API key is not known. Ask the operators for one.", reason=CallReason.API_KEY_UNKNOWN)
