"""AdmissionGroups: bookings that arrive while others are under way go together, in one statement and one commit.

Each is decided by itself. If the statement of a group does nothing, because a counter cannot take what all of it asks,
a request_id is taken, or PostgreSQL refuses a value, each of its jobs gets a statement of its own, as if there were no
groups. A call that finds nothing under way is sent at once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any

import psycopg

from services.errors import Unavailable
from services.orchestrator.store import admission_statement
from services.orchestrator.store.admission_statement import Booking
from services.orchestrator.store.database import Database
from services.orchestrator.store.fair_groups import FairGroups
from services.orchestrator.store.queue_entries import Queue
from services.reasons import ServiceReason
from services.tracing import spans

JOBS_MOST = 32
"""Of a group. Its counters are locked until all of its jobs are written."""
GROUPS_MOST = 2
"""Groups under way at the same time."""
PATIENCE_MS = 100
"""Milliseconds that a group waits for a counter which another transaction has locked. Then its jobs go each by itself:
so only that counter's tenant waits longer."""
WAIT_S = 10.0
"""Seconds that a job waits for other statements, as for a connection of the pool."""
STOP_S = 2.0
"""Seconds that the end of a process waits for groups that are under way."""


@dataclass(eq=False, slots=True)
class _Waiting:
    booking: Booking
    answer: asyncio.Future[bool]
    sent: bool = False
    """Whether a statement with it is under way, or was the last one for it."""
    late: bool = False
    """Whether it has waited too long for another statement."""

    @property
    def tenant(self) -> str:
        return self.booking.new.job.tenant


class AdmissionGroups:
    """The groups of one process. Not safe from several threads."""

    def __init__(self, database: Database, queue: Queue, *, wait_s: float = WAIT_S) -> None:
        self._database = database
        self._queue = queue
        self._wait_s = wait_s
        self._groups = FairGroups[_Waiting](JOBS_MOST)
        self._under_way = 0
        self._tasks = set[asyncio.Task[None]]()

    async def book(self, booking: Booking) -> bool:
        """Books, stores and queues a job. Returns False, with nothing done, when a counter cannot take its hold.

        A call that is cancelled while its job is under way may have booked it.

        Raises psycopg.IntegrityError when the request_id is taken, and Unavailable.
        """
        tenant = booking.new.job.tenant
        if self._under_way < GROUPS_MOST and self._groups.enter(tenant):
            return await self._at_once(booking)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(booking, loop.create_future())
        self._groups.add(tenant, waiting)
        self._start()
        late = loop.call_later(self._wait_s, self._give_up, waiting)
        with spans.begin("postgresql statement", {"db.system.name": "postgresql"}, spans.Kind.CLIENT):
            try:
                return await waiting.answer
            finally:
                late.cancel()
                if not waiting.sent:
                    self._groups.remove(tenant, waiting)

    async def stop(self) -> None:
        """Waits for what is under way, and ends it if that takes too long."""
        while self._tasks:
            _, pending = await asyncio.wait(self._tasks, timeout=STOP_S)
            for task in pending:
                task.cancel()

    async def _at_once(self, booking: Booking) -> bool:
        """Books a job in the task of its caller: a cancel ends its statement, in which no other job is."""
        self._under_way += 1
        booked: bool | None = False
        try:
            try:
                booked = await self._statement([booking], PATIENCE_MS)
            finally:
                self._under_way -= 1
                self._start()
            if booked is None:
                booked = await self._statement([booking])
            return booked is True
        finally:
            self._leave([booking.new.job.tenant], alone=not booked)

    def _start(self) -> None:
        while self._under_way < GROUPS_MOST and (group := self._groups.take()):
            self._under_way += 1
            self._run(self._book_group(group))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        # In no caller's context: the spans and the log lines of a group are not those of one job.
        task = asyncio.get_running_loop().create_task(work, name="admission-group", context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _leave(self, tenants: Collection[str], *, alone: bool) -> None:
        self._groups.leave(tenants, alone=alone)
        self._start()

    def _give_up(self, waiting: _Waiting) -> None:
        waiting.late = True
        if not waiting.sent:
            self._groups.remove(waiting.tenant, waiting)
            _fail(waiting)

    async def _book_group(self, group: Sequence[_Waiting]) -> None:
        """Books the jobs of a group together; if that is not possible, each by itself, and in no group meanwhile."""
        tenants, booked = {each.tenant for each in group}, False
        group = [each for each in group if not each.answer.done()]  # a call may have ended just now
        try:
            booked = not group or await self._book_together(group)
            if not booked:
                for tenant, lane in _unanswered(group).items():
                    tenants.remove(tenant)
                    self._run(self._book_each(lane))
        finally:
            self._under_way -= 1
            self._leave(tenants, alone=not booked)

    async def _book_together(self, group: Sequence[_Waiting]) -> bool:
        """Returns whether the jobs of a group are booked. Answers each, unless each has to go by itself."""
        for each in group:
            each.sent = True
        try:
            booked = await self._statement([each.booking for each in group], PATIENCE_MS)
        except Unavailable:  # the answer may be lost, so this process tries none of them again
            for each in group:
                _fail(each)
            return False
        except Exception as error:
            if len(group) == 1 and not group[0].answer.done():
                group[0].answer.set_exception(error)
            return False
        except asyncio.CancelledError:  # the process ends
            for each in group:
                each.answer.cancel()
            raise
        if booked or (len(group) == 1 and booked is not None):
            for each in group:
                if not each.answer.done():
                    each.answer.set_result(booked)
        return bool(booked)

    async def _book_each(self, lane: Sequence[_Waiting]) -> None:
        """Books the jobs of one tenant, each by its own statement, and answers each."""
        refused = False
        try:
            for each in lane:
                if each.late:
                    _fail(each)
                if each.answer.done():  # its call has ended
                    continue
                each.sent = True
                try:
                    booked = bool(await self._statement([each.booking]))
                except Exception as error:
                    refused = True
                    if not each.answer.done():
                        each.answer.set_exception(error)
                else:
                    refused = refused or not booked
                    if not each.answer.done():
                        each.answer.set_result(booked)
        finally:
            for each in lane:
                each.answer.cancel()  # of those that have no answer, when the process ends
            self._leave([lane[0].tenant], alone=refused)

    async def _statement(self, bookings: Sequence[Booking], patience_ms: int | None = None) -> bool | None:
        """Returns whether the jobs are booked.

        None: nothing is done, because another transaction has locked a row, or PostgreSQL refused something of a group.
        """
        async with self._database.direct() as connection:
            try:
                return await admission_statement.book(connection, self._queue, bookings, patience_ms=patience_ms)
            except psycopg.Error as error:
                late = patience_ms is not None and isinstance(error, psycopg.errors.LockNotAvailable)
                if late or (len(bookings) > 1 and not connection.closed):
                    return None
                raise


def _unanswered(group: Sequence[_Waiting]) -> dict[str, list[_Waiting]]:
    """Returns those that have no answer, by tenant. They wait again."""
    lanes = defaultdict[str, list[_Waiting]](list)
    for each in group:
        if not each.answer.done():
            each.sent = False
            lanes[each.tenant].append(each)
    return lanes


def _fail(waiting: _Waiting) -> None:
    if not waiting.answer.done():
        error = Unavailable("The database cannot be reached. Try again.", reason=ServiceReason.DATABASE_UNAVAILABLE)
        waiting.answer.set_exception(error)
