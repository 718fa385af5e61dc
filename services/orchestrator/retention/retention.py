"""Removes everything that is due, in rounds: batch after batch with pauses, by one process at a time."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from services.errors import PreconditionFailed, Unavailable
from services.orchestrator.domain.retention import NOTHING_DUE, Ages, Due, Kind
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.retention import OnlyOne, RetentionMeter
from services.orchestrator.retention.removal import Removal
from services.reasons import RetentionReason

EVERY_S = 3600.0
"""Seconds between two rounds."""
SOON_S = 60.0
"""Seconds to the next round if one has stopped at its limit."""
PAUSE_S = 0.1
"""Seconds between two batches, for the other work of the database."""
BATCHES = 200
"""Batches of one kind in a round, at most."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round of one kind did."""

    removed: int
    more: bool
    """It stopped at its limit, and more may be due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The removal of all kinds."""

    removals: Sequence[Removal]
    ages: Ages
    only_one: OnlyOne
    clock: Clock
    meter: RetentionMeter
    every_s: float = EVERY_S
    pause_s: float = PAUSE_S

    async def due(self) -> dict[Kind, Due]:
        """Returns what of each kind is due. Raises Unavailable."""
        found = {}
        for removal in self.removals:
            before = self.ages.before(removal.kind, self.clock.now())
            found[removal.kind] = NOTHING_DUE if before is None else await removal.due(before)
        return found

    async def run(self, kind: Kind, batches: int) -> Outcome:
        """Removes what is due of one kind, in at most so many batches.

        Raises:
            PreconditionFailed: the kind is kept without a limit of time.
            Unavailable: another process removes now, or something cannot be reached.
        """
        before = self.ages.before(kind, self.clock.now())
        if before is None:
            kept = f"The settings keep {kind} without a limit of time."
            raise PreconditionFailed(kept, reason=RetentionReason.RETENTION_OFF, metadata={"kind": kind})
        async with self.only_one() as alone:
            if not alone:
                busy = "Another process removes old things at this moment. Try again later."
                raise Unavailable(busy, reason=RetentionReason.RETENTION_BUSY, retry_after_s=10.0)
            return await self._remove(self._removal(kind), before, batches)

    async def repeat(self) -> None:
        """Runs rounds of all kinds until cancelled. While something cannot be reached, it waits for the next round."""
        while True:
            more = False
            try:
                more = await self.round()
            except Unavailable as error:
                log.warning("old things cannot be removed now", extra={"reason": error.reason})
            await asyncio.sleep(min(self.every_s, SOON_S) if more else self.every_s)

    async def round(self) -> bool:
        """Runs one round of all kinds, unless another process does. Returns whether more is due.

        A kind that fails is logged, and does not keep the others from being removed. Raises Unavailable.
        """
        async with self.only_one() as alone:
            return any([await self._try(removal) for removal in self.removals]) if alone else False

    async def _try(self, removal: Removal) -> bool:
        before = self.ages.before(removal.kind, self.clock.now())
        if before is None:
            return False
        try:
            return (await self._remove(removal, before, BATCHES)).more
        except Unavailable as error:
            fields = {"kind": removal.kind.value, "reason": error.reason}
            log.warning("old things cannot be removed now", extra=fields)
        except Exception:  # the next round looks for everything again
            log.exception("the removal of old things failed", extra={"kind": removal.kind.value})
        return False

    async def _remove(self, removal: Removal, before: datetime, limit: int) -> Outcome:
        removed = batches = 0
        async with aclosing(removal.batches(before)) as running:
            async for count in running:
                self.meter.removed(removal.kind, count)
                removed, batches = removed + count, batches + 1
                if batches == limit:
                    break
                await asyncio.sleep(self.pause_s)
        due = await removal.due(before)
        self.meter.retention_round(removal.kind, self.clock.now(), due)
        if removed:
            fields = {"kind": removal.kind.value, "removed": removed, "left": due.count}
            log.info("removed what was old", extra=fields)
        return Outcome(removed, batches == limit)

    def _removal(self, kind: Kind) -> Removal:
        return next(removal for removal in self.removals if removal.kind is kind)
