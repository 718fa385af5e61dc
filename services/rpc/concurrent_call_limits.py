"""Limits of simultaneous calls, so that one caller cannot block the others.

Calls that need no key have a small limit of their own. A call with a key counts for its tenant, for the group of its
method and for the process. Each has a limit; calls beyond it are refused with the limit and a retry delay.
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from services.errors import GaveWay, LimitReached, Unavailable
from services.reasons import CallReason, Reason


@dataclass(frozen=True, slots=True)
class Group:
    """Methods of one kind that share a limit of open calls."""

    name: str
    """Upper case, plural, such that `WATCHES_LIMIT_REACHED` and `TENANT_WATCHES_LIMIT_REACHED` are reasons."""
    methods: Collection[str]
    """`/package.Service/Method`."""
    tenant_limit: int
    """Of one tenant."""
    limit: int
    """Of all tenants together."""

    @property
    def reason(self) -> Reason:
        """The reason of a refusal because of `limit`."""
        return CallReason[f"{self.name}_LIMIT_REACHED"]

    @property
    def tenant_reason(self) -> Reason:
        """The reason of a refusal because of `tenant_limit`."""
        return CallReason[f"TENANT_{self.name}_LIMIT_REACHED"]

    def __post_init__(self) -> None:
        """Raises KeyError if the registry lacks one of the two reasons."""
        _ = self.reason, self.tenant_reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """All counts are of calls that are open at the same time in this process."""

    calls: int = 2000
    """With a key, of all tenants together."""
    tenant_calls: int | None = None
    """Of one tenant. Default: no limit of its own."""
    groups: tuple[Group, ...] = ()
    """Further limits, by method."""
    open_calls: int = 4000
    """Calls without a key. A new one beyond that ends the oldest of the host that has most, so it is answered. Each
    client that balances by health keeps one."""
    arriving: int = 1000
    """Calls that wait for the lookup of their key."""
    connection_calls: int = 1250
    """Calls of one connection. An HTTP/2 client holds further calls back; gRPC refuses those of other clients."""
    first_message_s: float = 10.0
    """Seconds that a call may take to send its first message."""
    next_message_s: float = 60.0
    """Seconds that a stream of requests may pause."""
    taking_s: float = 60.0
    """Seconds that a caller may take nothing from a stream of responses."""
    least_time_s: float = 0.005
    """Seconds to its deadline that a call must have left when it arrives."""


class Gate:
    """Counts calls that have a key."""

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._calls = 0
        self._used: Counter[tuple[str, str]] = Counter()

    def enter(self, tenant: str, group: Group | None) -> None:
        """Admits a call; `leave` must follow. An empty tenant has no limits of its own. Raises LimitReached."""
        limits, used = self._limits, self._used
        if self._calls >= limits.calls:
            raise _full("This server", limits.calls, "calls", CallReason.CALLS_LIMIT_REACHED)
        if group is not None and used["", group.name] >= group.limit:
            raise _full("This server", group.limit, group.name.lower(), group.reason)
        if tenant:
            if limits.tenant_calls is not None and used[tenant, ""] >= limits.tenant_calls:
                raise _full("This tenant", limits.tenant_calls, "calls", CallReason.TENANT_CALLS_LIMIT_REACHED)
            if group is not None and used[tenant, group.name] >= group.tenant_limit:
                raise _full("This tenant", group.tenant_limit, group.name.lower(), group.tenant_reason)
        self._calls += 1
        for key in _keys(tenant, group):
            used[key] += 1

    def leave(self, tenant: str, group: Group | None) -> None:
        """An admitted call has ended."""
        self._calls -= 1
        for key in _keys(tenant, group):
            self._used[key] -= 1
            if not self._used[key]:
                del self._used[key]  # so that tenants without calls use no memory


def _keys(tenant: str, group: Group | None) -> Iterator[tuple[str, str]]:
    """Yields the keys that a call is counted under, in addition to the process."""
    if tenant:
        yield tenant, ""
    if group is not None:
        yield "", group.name
        if tenant:
            yield tenant, group.name


def _full(who: str, limit: int, what: str, reason: Reason) -> LimitReached:
    message = f"{who} has {limit} {what} open, the most allowed. Try again when some have ended."
    return LimitReached(message, limit=limit, reason=reason)


class OpenCalls:
    """Counts calls that need no key, by host."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._host_of: dict[asyncio.Task[Any], str] = {}
        self._of_host: dict[str, dict[asyncio.Task[Any], None]] = {}

    def enter(self, peer: str, task: asyncio.Task[Any]) -> asyncio.Task[Any] | None:
        """Admits a call; `leave` must follow. Returns the call that has to end for it, if there is one.

        `peer` is the caller's address in gRPC's notation.
        """
        replaced = None
        if len(self._host_of) >= self.limit:
            crowded = max(self._of_host.values(), key=len)
            replaced = next(iter(crowded))
            self.leave(replaced)
        host = self._host_of[task] = _host(peer)
        self._of_host.setdefault(host, {})[task] = None
        return replaced

    def leave(self, task: asyncio.Task[Any]) -> None:
        """A call has ended; without effect for one that had to end."""
        host = self._host_of.pop(task, None)
        if host is not None:
            del self._of_host[host][task]
            if not self._of_host[host]:
                del self._of_host[host]

    def crowded_out(self) -> GaveWay:
        """Returns the answer to a call that has to end."""
        what = f"This server keeps {self.limit} calls without a key open; newer ones took the place of this one."
        return GaveWay(what, limit=self.limit, reason=CallReason.OPEN_CALLS_LIMIT_REACHED)


def _host(peer: str) -> str:
    """Returns the address of `ipv4:192.0.2.1:4000`; of IPv6 the /64, because one host has all addresses in it."""
    kind, _, rest = unquote(peer).partition(":")
    address = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    if kind != "ipv6":
        return address
    whole = ipaddress.IPv6Address(address)
    return str(whole.ipv4_mapped or int(whole) >> 64)


def too_many_arrive() -> Unavailable:
    """Returns the refusal for a call when too many calls wait for the lookup of their keys."""
    return Unavailable("Too many calls arrive now. Try again in a moment.", reason=CallReason.INTAKE_FULL)
