"""Claims the waiting jobs of one queue for this worker, the tenants in turn.

DBOS's own loop takes the tenants in random order, and as many jobs of one as there are free slots. This one asks
`Turns` whose jobs come next. The claim itself is DBOS's: with its transaction, its limits and its marks of who has an
entry. The functions are not public: pyproject.toml pins the version, and the tests of the queue fail if they change.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from dbos import DBOS
from dbos._core import execute_dequeued_workflow
from dbos._queue import Queue
from dbos._utils import GlobalParams, generate_uuid
from sqlalchemy.exc import DBAPIError

from services.orchestrator.domain.turns import TenantShare, Turn, Turns
from services.orchestrator.ports.backend import Limits

POLL_S = 0.5
"""Seconds between two polls without a wake-up: for retries that are due, and for lost notifications."""
AGAIN_S = 0.05
"""Seconds to the next poll after one in which other workers had locked entries."""

UNLIMITED = 10_000
"""Jobs of one tenant at a time. Only with a limit, however high, does a queue have a partition for each tenant."""
PERIOD_S = 60.0
"""Seconds over which jobs are counted that start."""

log = logging.getLogger(__name__)


class Room(Protocol):
    """How many jobs of a queue this worker may have. Called by the queue's thread."""

    @property
    def slots(self) -> int:
        """Jobs at a time."""

    def reserve(self, running: int, wanted: int) -> int:
        """Reserves slots for jobs in addition to those that run. Returns their number; raises what the backend does."""

    def give_back(self, count: int) -> None:
        """Gives back so many of them: there was no job for them."""


class QueueClaimer:
    """The claims of one worker on one queue."""

    def __init__(self, dbos: DBOS, name: str, limits: Limits, room: Room | None = None) -> None:
        """The queue's row has the limits of the worker that started last; this worker keeps to its own.

        With `room`, that says how many jobs the worker may have.
        """
        self._dbos = dbos
        self._name = name
        self._limits = limits
        self._room = room
        self._turns = Turns()
        self._taken: dict[str, Turn] = {}
        """The entries that this worker runs, each with its turn."""
        self._lock = threading.Lock()
        """The queue's thread takes turns, and the event loop ends them."""

    def poll(self, stopping: Callable[[], bool]) -> float:
        """Starts jobs in the free slots, and returns the seconds to the next poll. Raises what DBOS raises."""
        database = self._dbos._sys_db
        queue = database.get_queue(self._name)
        if queue is None:
            return POLL_S
        slots = self._limits.per_worker if self._room is None else self._room.slots
        self._limit(queue, slots)
        running = self._dbos._active_workflows_set.count_for_queue(self._name)
        free = slots - running
        if free <= 0:
            return queue._polling_interval_sec
        keys = {TenantShare.parse(key): key for key in database.get_queue_partitions(self._name)}
        with self._lock:
            self._turns.update(keys)
        if self._room is None or not keys:
            return self._claim(queue, keys, slots, free, stopping)[1]
        left = reserved = self._room.reserve(running, free)
        try:
            started, pause_s = self._claim(queue, keys, slots, reserved, stopping)
            left -= started
            return pause_s
        finally:
            self._room.give_back(left)

    def _claim(
        self, queue: Queue, keys: dict[TenantShare, str], slots: int, free: int, stopping: Callable[[], bool]
    ) -> tuple[int, float]:
        """Starts at most `free` jobs; returns their number, and the seconds to the next poll."""
        database, begun, contended = self._dbos._sys_db, 0, False
        while keys and free > begun:
            for turns in self._allot(keys, free - begun):
                if stopping():
                    return begun, POLL_S
                share = turns[0].share
                try:
                    started, limited = self._start(queue, keys[share], turns, slots)
                except DBAPIError as error:
                    if not (database.is_lock_conflict(error) or database.is_serialization_conflict(error)):
                        raise
                    started, limited, contended = 0, False, True
                begun += started
                if limited:
                    return begun, queue._polling_interval_sec
                if started < len(turns):
                    del keys[share]
        return begun, AGAIN_S if contended else queue._polling_interval_sec

    def ended(self, entry: str, seconds: float) -> None:
        """Reports that an entry had a slot for so long, and has it no more."""
        with self._lock:
            if (turn := self._taken.pop(entry, None)) is not None:
                self._turns.ended(turn, seconds)

    def _limit(self, queue: Queue, slots: int) -> None:
        queue._worker_concurrency = slots
        queue._concurrency = self._limits.total
        queue._partition_concurrency = min(UNLIMITED, self._limits.total or UNLIMITED)
        queue._limiter = {"limit": self._limits.per_minute, "period": PERIOD_S} if self._limits.per_minute else None

    def _allot(self, keys: Mapping[TenantShare, str], free: int) -> list[list[Turn]]:
        """Returns the next turns, those of one tenant together."""
        found: dict[TenantShare, list[Turn]] = {}
        with self._lock:
            for _ in range(free):
                turn = self._turns.next(keys)
                found.setdefault(turn.share, []).append(turn)
        return list(found.values())

    def _start(self, queue: Queue, key: str, turns: Sequence[Turn], slots: int) -> tuple[int, bool]:
        """Claims and starts at most one job a turn.

        Returns their number, and whether a limit of the whole queue allows no more.
        """
        database, owner = self._dbos._sys_db, generate_uuid()
        entries: list[str] = []
        try:
            entries, reason = database.start_queued_workflows(
                queue,
                GlobalParams.executor_id,
                GlobalParams.app_version,
                key,
                slots - len(turns),  # as if only so many slots were free
                owner_xid=owner,
            )
        finally:
            with self._lock:
                self._taken |= zip(entries, turns, strict=False)
                for turn in turns[len(entries) :]:
                    self._turns.give_back(turn)
        for status in database.get_workflow_statuses(entries):
            try:
                execute_dequeued_workflow(self._dbos, status, owner)
            except Exception:
                log.exception("a claimed job cannot be started", extra={"entry": status["workflow_uuid"]})
        return len(entries), reason in ("concurrency", "limiter")
