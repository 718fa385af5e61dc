"""FairGroups: which of the things that wait go together next, so that no tenant fills the groups.

A tenant is in one group at a time. A group takes one thing of each tenant in turn, then a second one, and so on.
A tenant that goes alone has groups of one, so what is wrong with its things costs the others nothing.
"""

from collections import deque
from collections.abc import Collection
from typing import Generic, TypeVar

T = TypeVar("T")

ALONE_MOST = 10_000
"""Tenants that are remembered as going alone. More are forgotten, which costs others time, and nothing else."""


class FairGroups(Generic[T]):
    """Things that wait, by tenant, in the order in which they came. Not safe from several threads."""

    def __init__(self, most: int) -> None:
        """`most`: things in a group."""
        self._most = most
        self._waiting: dict[str, deque[T]] = {}
        """Of tenants that are in no group. The first has waited the longest for its turn."""
        self._behind: dict[str, deque[T]] = {}
        """Of the tenants that are in a group: what waits until that has ended."""
        self._alone: set[str] = set()

    def enter(self, tenant: str) -> bool:
        """Whether a thing of this tenant may go at once, because nothing waits. Then the tenant is in a group."""
        if self._waiting or tenant in self._behind:
            return False
        self._behind[tenant] = deque()
        return True

    def add(self, tenant: str, thing: T) -> None:
        """Adds something that waits."""
        lane = self._behind.get(tenant)
        if lane is None:
            lane = self._waiting.setdefault(tenant, deque())
        lane.append(thing)

    def remove(self, tenant: str, thing: T) -> bool:
        """Removes something. Returns whether it was still waiting."""
        for lanes in (self._waiting, self._behind):
            if thing in lanes.get(tenant, ()):
                lanes[tenant].remove(thing)
                if lanes is self._waiting and not lanes[tenant]:
                    del lanes[tenant]
                return True
        return False

    def take(self) -> list[T]:
        """Returns the next group; empty: nothing may go now. Its tenants are in a group until `leave`."""
        tenants = list(self._waiting)
        if not tenants:
            return []
        if tenants[0] in self._alone:
            lane = self._behind[tenants[0]] = self._waiting.pop(tenants[0])
            return [lane.popleft()]
        tenants = [tenant for tenant in tenants if tenant not in self._alone][: self._most]
        group: list[T] = []
        lanes = [self._waiting.pop(tenant) for tenant in tenants]
        self._behind.update(zip(tenants, lanes, strict=True))
        while len(group) < self._most and (lanes := [lane for lane in lanes if lane]):
            group += [lane.popleft() for lane in lanes[: self._most - len(group)]]
        return group

    def leave(self, tenants: Collection[str], *, alone: bool) -> None:
        """Ends the group of tenants. `alone`: whether each goes alone from now on."""
        for tenant in tenants:
            lane = self._behind.pop(tenant)
            if lane:
                self._waiting[tenant] = lane
        if alone and len(self._alone) < ALONE_MOST:
            self._alone.update(tenants)
        elif not alone:
            self._alone.difference_update(tenants)
