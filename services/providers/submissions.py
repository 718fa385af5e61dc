"""The paid requests of this process: each is made once, completed even if its caller leaves, and remembered.

A caller may leave while its request is in progress. The request continues, because its outcome must be known; the last
ones are remembered for Find. This helps but is not reliable: another process, or this one after a restart, does not
know them. The tasks that webhooks report for submissions of other processes are remembered separately.
"""

import asyncio
import logging
from collections import OrderedDict
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

from services import resource_shortage
from services.errors import PreconditionFailed
from services.providers import task_failures
from services.providers.account_status import AccountStatus
from services.providers.circuit_breaker import CircuitBreaker
from services.providers.metrics import VendorMeter
from services.providers.task import Task
from services.providers.vendor import Charge, Failed, Vendor
from services.reasons import VendorReason

T = TypeVar("T")
log = logging.getLogger(__name__)

REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class KnownSubmission:
    """The known facts about a submission."""

    path: str
    """The vendor's name of its model; empty if unknown."""
    ref: str | None = None
    """The vendor's id of its task."""


class Submissions:
    """The submissions to one vendor, past and in progress."""

    def __init__(
        self,
        vendor: Vendor,
        breaker: CircuitBreaker,
        account: AccountStatus,
        meter: VendorMeter,
        *,
        remembered: int = REMEMBERED,
    ) -> None:
        """`remembered` is the number of submissions whose outcome is kept."""
        self._vendor = vendor
        self._remembered = remembered
        self._breaker = breaker
        self._account = account
        self._meter = meter
        self._known: OrderedDict[str, KnownSubmission] = OrderedDict()
        self._from_webhooks: OrderedDict[str, KnownSubmission] = OrderedDict()
        self._of_ref: OrderedDict[str, str] = OrderedDict()
        """The submission of each task, from the vendor's own answers."""
        self._in_progress: set[str] = set()
        self._running: set[asyncio.Task[str]] = set()

    def ref(self, submission_id: str, model: str | None = None) -> str | None:
        """Returns the vendor's id of the task that was submitted under our id, if this process has it.

        A webhook for a task of another model than `model`, by the name that cards use, does not count.
        """
        known, from_webhook = self._known.get(submission_id), self._from_webhooks.get(submission_id)
        if known is not None and known.ref is not None:
            return known.ref
        if from_webhook is None or (
            model is not None and from_webhook.path not in ("", self._vendor.models[model].path)
        ):
            return None
        return from_webhook.ref

    def in_progress(self, submission_id: str) -> bool:
        """Whether it is being submitted now."""
        return submission_id in self._in_progress

    def record_webhook(self, submission_id: str, ref: str, path: str = "") -> bool:
        """Records the vendor's id and model of a submission, from a webhook. The first webhook takes precedence.

        Returns whether it agrees with the vendor's own answers. If not, it is for another task and is not recorded.
        """
        known, owner = self._known.get(submission_id), self._of_ref.get(ref)
        if owner not in (None, submission_id):
            return False
        if known is not None and (known.ref not in (None, ref) or path not in ("", known.path)):
            return False
        self._from_webhooks.setdefault(submission_id, KnownSubmission(path, ref))
        self._shorten(self._from_webhooks)
        return True

    def _record(self, task: Task, ref: str | None = None) -> None:
        before = self._known.get(task.submission_id)
        known = KnownSubmission(self._vendor.models[task.model].path, ref or (before.ref if before else None))
        self._known[task.submission_id] = known
        if ref is not None:
            self._of_ref[ref] = task.submission_id
        self._shorten(self._known)
        self._shorten(self._of_ref)

    def _shorten(self, those: OrderedDict[str, T]) -> None:
        while len(those) > self._remembered:
            those.popitem(last=False)

    async def submit(self, task: Task, inputs: AsyncExitStack) -> str:
        """Submits a task and returns the vendor's id. `inputs` is closed when they are no longer needed.

        Raises:
            PreconditionFailed: something was, or may have been, submitted under this id before; nothing was now.
            Failed: it was not accepted, or that is unknown.
        """
        running = asyncio.create_task(self._submit(task, inputs))
        self._running.add(running)
        running.add_done_callback(self._ended)
        return await asyncio.shield(running)

    def _ended(self, running: asyncio.Task[str]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # Its caller may have left: asyncio logs an exception that was never retrieved.

    async def _submit(self, task: Task, inputs: AsyncExitStack) -> str:
        async with inputs:
            if any(task.submission_id in known for known in (self._known, self._from_webhooks, self._in_progress)):
                # Not NOTHING_SUBMITTED: the first submission of this id may have cost money.
                raise PreconditionFailed(
                    "Something was submitted under this id before; a second submission would pay again.",
                    reason=VendorReason.SUBMITTED_BEFORE,
                )
            self._admit()
            self._in_progress.add(task.submission_id)
            not_charged = False
            try:
                ref = await self._vendor.submit(task)
                self._check_own(task, ref)
                self._record(task, ref)
            except Failed as failed:
                self._record_failure(failed)
                not_charged = failed.charge is Charge.NOT_CHARGED
                raise
            finally:
                # After any other error, also one of ours, the vendor may have accepted it.
                if not not_charged:
                    self._record(task)
                self._in_progress.discard(task.submission_id)
        self._breaker.succeeded()
        self._account.accepted()
        # For an operator who searches the task of a lost answer by hand.
        log.info("accepted", extra={"submission_id": task.submission_id, "model": task.model, "external_ref": ref})
        return ref

    def _check_own(self, task: Task, ref: str) -> None:
        """Raises Failed if the vendor has given the same id to another submission: its answer was for that one."""
        if self._of_ref.get(ref, task.submission_id) == task.submission_id:
            return
        self._meter.mixed_up("submit")
        named = {"submission_id": task.submission_id, "other_submission_id": self._of_ref[ref], "external_ref": ref}
        log.error("the vendor answered with the id of another submission", extra=named)
        raise task_failures.no_answer(200)

    def _admit(self) -> None:
        if not self._account.has_key:
            raise Failed(
                "This provider has no key.", reason=VendorReason.BAD_KEY, charge=Charge.NOT_CHARGED, retryable=True
            )
        if retry_delay_s := self._breaker.admit():
            raise Failed(
                "The vendor failed too often lately, so nothing is submitted to it for a while.",
                reason=VendorReason.CIRCUIT_OPEN,
                charge=Charge.NOT_CHARGED,
                retryable=True,
                retry_delay_s=retry_delay_s,
            )

    def _record_failure(self, failed: Failed) -> None:
        self._account.refused(failed)
        if failed.reason in (VendorReason.VENDOR_DOWN, VendorReason.ANSWER_LOST):
            self._breaker.failed()
        elif failed.reason not in resource_shortage.REASONS:  # our own shortage is not the vendor's failure
            self._breaker.succeeded()

    async def settled(self) -> None:
        """Waits until no submission is in progress."""
        while self._running:
            await asyncio.wait(self._running)
