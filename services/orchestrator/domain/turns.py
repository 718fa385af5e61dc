"""Turns: which tenant's job a free slot takes next.

Tenants with a higher priority come first, but not without end: after some of their turns comes one of a lower priority.
Tenants of the same priority share a backend's slots by their weights, in seconds of slots, by start-time fair queueing:
each tenant has a virtual time, which advances by the seconds of its jobs divided by its weight, and the tenant with the
least one is next. A tenant that begins to wait is never behind those that waited before it: its first job takes the
next free slot, however much the others have queued.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self

from services.orchestrator.domain.plan import Plan

FIRST_S = 1.0
"""Seconds that a job is assumed to take before one has ended."""
LEAST_S = 0.05
"""Seconds that a job counts at least: jobs that were cancelled in the queue take their turns too."""
NEWEST = 0.3
"""Weight of the newest job in a tenant's mean."""
PASSED_MOST = 4
"""Turns of higher priorities in a row, while tenants of a lower one wait."""
KEPT = 10_000
"""Tenants of one priority that are remembered, at most."""


@dataclass(frozen=True, slots=True)
class TenantShare:
    """The claim of a tenant to the slots of a backend, by its plan at the admission of the job."""

    tenant: str
    priority: int = 0
    weight: int = 1

    @classmethod
    def of(cls, tenant: str, plan: Plan) -> Self:
        """Returns the claim of a tenant with this plan."""
        return cls(tenant, plan.priority, plan.weight)

    @classmethod
    def parse(cls, key: str) -> Self:
        """Returns the claim of a partition key. That of an earlier version is the tenant's name alone."""
        priority, _, rest = key.partition("/")
        weight, _, tenant = rest.partition("/")
        try:
            return cls(tenant, int(priority), max(1, int(weight))) if tenant else cls(key)
        except ValueError:
            return cls(key)

    @property
    def key(self) -> str:
        """The partition key of its queue entries: a worker knows all that it needs from the key alone."""
        return f"{self.priority}/{self.weight}/{self.tenant}"


class PriorityOrder:
    """Which priority has the next turn: the highest one, but one that was passed over several times comes before it."""

    def __init__(self) -> None:
        self._passed: Counter[int] = Counter()
        """How many turns of higher ones each priority has waited."""

    def next(self, waiting: Collection[int]) -> int:
        """Returns the priority whose turn it is, of those that have jobs waiting."""
        overdue = [priority for priority in waiting if self._passed[priority] >= PASSED_MOST]
        chosen = max(overdue, key=lambda priority: (self._passed[priority], priority), default=max(waiting))
        self._passed = Counter(
            {priority: self._passed[priority] + (priority < chosen) for priority in waiting if priority != chosen}
        )
        return chosen


@dataclass(frozen=True, slots=True)
class Turn:
    """One job that a tenant may start."""

    share: TenantShare
    charged_s: float
    """Seconds that it is assumed to take."""


@dataclass(slots=True)
class _Account:
    time_s: float = 0.0
    """Virtual time: where its next job begins."""
    served: int = 0
    """Number of its last turn; 0: it had none."""
    mean_s: float | None = None
    """Of its jobs; None: none has ended."""


@dataclass(slots=True)
class _Level:
    """The tenants of one priority."""

    time_s: float = 0.0
    """Virtual time of the last turn."""
    accounts: dict[TenantShare, _Account] = field(default_factory=dict)
    waiting: frozenset[TenantShare] = frozenset()


class Turns:
    """The turns of one backend's tenants at one worker. Several workers are each fair, and so all of them together."""

    def __init__(self) -> None:
        self._levels: dict[int, _Level] = {}
        self._priorities = PriorityOrder()
        self._turns = 0
        self._mean_s = FIRST_S

    def update(self, waiting: Collection[TenantShare]) -> None:
        """Takes note of who has jobs waiting now. Call it before the turns of each poll."""
        for priority in self._levels.keys() | {share.priority for share in waiting}:
            level = self._levels.setdefault(priority, _Level())
            now = frozenset(share for share in waiting if share.priority == priority)
            before = [level.accounts[share].time_s for share in now & level.waiting]
            for share in now - level.waiting:
                account = level.accounts.setdefault(share, _Account(level.time_s))
                account.time_s = min([max(account.time_s, level.time_s), *before])
            level.waiting = now
            if len(level.accounts) > KEPT:
                _forget(level)

    def next(self, waiting: Collection[TenantShare]) -> Turn:
        """Returns whose turn it is, among tenants of the last update. Its job is charged as an average one."""
        priority = self._priorities.next({share.priority for share in waiting})
        level = self._levels[priority]
        first = min((share for share in waiting if share.priority == priority), key=lambda share: _order(level, share))
        account = level.accounts[first]
        level.time_s = account.time_s
        self._turns += 1
        account.served = self._turns
        turn = Turn(first, account.mean_s or self._mean_s)
        account.time_s += turn.charged_s / first.weight
        return turn

    def give_back(self, turn: Turn) -> None:
        """Undoes the charge of a turn in which no job started."""
        self._correct(turn, 0.0)

    def ended(self, turn: Turn, seconds: float) -> None:
        """Corrects the charge of a turn: its job had the slot for so long."""
        took_s = max(LEAST_S, seconds)
        self._mean_s += NEWEST * (took_s - self._mean_s)
        if (account := self._correct(turn, took_s)) is not None:
            before_s = took_s if account.mean_s is None else account.mean_s
            account.mean_s = before_s + NEWEST * (took_s - before_s)

    def _correct(self, turn: Turn, seconds: float) -> _Account | None:
        account = self._levels[turn.share.priority].accounts.get(turn.share)
        if account is not None:
            account.time_s += (seconds - turn.charged_s) / turn.share.weight
        return account


def _order(level: _Level, share: TenantShare) -> tuple[float, int, str]:
    account = level.accounts[share]
    return account.time_s, account.served, share.tenant


def _forget(level: _Level) -> None:
    """Forgets the tenants that had no turn for the longest time and do not wait."""
    absent = sorted(level.accounts.keys() - level.waiting, key=lambda share: level.accounts[share].served)
    for share in absent[: len(level.accounts) - KEPT // 2]:
        del level.accounts[share]
