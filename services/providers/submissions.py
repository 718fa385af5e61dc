"""The paid requests of this process: each made once, brought to its end whatever its caller does, and remembered.

A caller may go away while its request is on the way. The request goes on, because what it bought must be known, and the
memory of the last ones answers Find. It is a help, not a promise: another process, or this one after a restart, has
another memory or none. What webhooks tell of submissions that others have made is remembered beside it.
"""

import asyncio
import logging
from collections import OrderedDict
from contextlib import AsyncExitStack

from services.errors import PreconditionFailed
from services.providers.account import Account
from services.providers.breaker import Breaker
from services.providers.task import Task
from services.providers.vendor import Charge, Failed, Vendor

log = logging.getLogger(__name__)

REMEMBERED = 10_000


class Submissions:
    """What was, and is being, submitted to one vendor."""

    def __init__(self, vendor: Vendor, breaker: Breaker, account: Account) -> None:
        self._vendor = vendor
        self._breaker = breaker
        self._account = account
        self._known: OrderedDict[str, str | None] = OrderedDict()
        self._heard: OrderedDict[str, str] = OrderedDict()
        self._under_way: set[str] = set()
        self._running: set[asyncio.Task[str]] = set()

    def ref(self, submission_id: str) -> str | None:
        """Returns the vendor's id of what was submitted under ours, if this process knows it or has heard of it."""
        return self._known.get(submission_id) or self._heard.get(submission_id)

    def under_way(self, submission_id: str) -> bool:
        """Whether it is being submitted right now."""
        return submission_id in self._under_way

    def hear(self, submission_id: str, ref: str) -> None:
        """Notes what the vendor is said to call it. Its own answer counts for more, and what was heard first too."""
        self._heard.setdefault(submission_id, ref)
        if len(self._heard) > REMEMBERED:
            self._heard.popitem(last=False)

    def _note_known(self, submission_id: str, ref: str | None) -> None:
        self._known[submission_id] = ref or self._known.get(submission_id)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def submit(self, task: Task, inputs: AsyncExitStack) -> str:
        """Submits a task and returns the vendor's id. `inputs` is closed when they are no longer needed.

        Raises:
            PreconditionFailed: something was, or may have been, submitted under this id before; nothing was now.
            Failed: it was not accepted, or nobody knows.
        """
        running = asyncio.create_task(self._submit(task, inputs))
        self._running.add(running)
        running.add_done_callback(self._ended)
        return await asyncio.shield(running)

    def _ended(self, running: asyncio.Task[str]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # Its caller may have gone; then nobody else asks.

    async def _submit(self, task: Task, inputs: AsyncExitStack) -> str:
        async with inputs:
            if any(task.submission_id in those for those in (self._known, self._heard, self._under_way)):
                # Not NOTHING_SUBMITTED: whatever repeated the call must not take the first one's money for free.
                raise PreconditionFailed(
                    "Something was submitted under this id before; a second submission would pay again.",
                    reason="SUBMITTED_BEFORE",
                )
            self._admit()
            self._under_way.add(task.submission_id)
            certainly_not = False
            try:
                ref = await self._vendor.submit(task)
                self._note_known(task.submission_id, ref)
            except Failed as failed:
                self._note(failed)
                certainly_not = failed.charge is Charge.NOT_CHARGED
                raise
            finally:
                # Whatever else has happened, a fault of ours too: it may have been taken.
                if not certainly_not:
                    self._note_known(task.submission_id, None)
                self._under_way.discard(task.submission_id)
        self._breaker.succeeded()
        self._account.accepted()
        # For whoever has to find by hand what a lost answer has bought.
        log.info("accepted", extra={"submission_id": task.submission_id, "model": task.model, "external_ref": ref})
        return ref

    def _admit(self) -> None:
        if not self._account.has_key:
            raise Failed("This provider has no key.", reason="BAD_KEY", charge=Charge.NOT_CHARGED, retryable=True)
        if stay_away_s := self._breaker.admit():
            raise Failed(
                "The vendor failed too often lately, so nothing is handed to it for a while.",
                reason="CIRCUIT_OPEN",
                charge=Charge.NOT_CHARGED,
                retryable=True,
                retry_delay_s=stay_away_s,
            )

    def _note(self, failed: Failed) -> None:
        self._account.refused(failed)
        if failed.reason in ("VENDOR_DOWN", "ANSWER_LOST"):
            self._breaker.failed()
        else:
            self._breaker.succeeded()

    async def settled(self) -> None:
        """Waits until nothing is on its way to the vendor any more."""
        while self._running:
            await asyncio.wait(self._running)
