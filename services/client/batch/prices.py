"""What a batch would cost, and all that would refuse it. Charges nothing; the pictures are uploaded for it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from i2v.v1 import job_pb2

from i2v_client import Violation
from i2v_client.errors import InvalidRequest
from services.client import error_messages
from services.client.batch.item import Again, Item, State
from services.client.batch.job_options import JobOptions
from services.client.batch.journal import Journal
from services.client.batch.pictures import Pictures
from services.client.batch.row import BadRow
from services.client.batch.service import Service

PAGE, PAGE_BYTES = 100, 900_000
"""What one preview takes: so many specs, and 1 MiB."""
UPLOADS_AT_ONCE = 4
PLACES = "at-a-time"
"""Limits of what there is at a time do not refuse a batch: it waits for places."""


@dataclass
class Prices:
    """The sums."""

    videos: int = 0
    """That would be admitted."""
    free: int = 0
    """That are paid for, and only have to be fetched."""
    micros: dict[str, int] = field(default_factory=dict)
    """By currency."""
    refused: int = 0
    limits: dict[tuple[str, str, str], job_pb2.LimitStatus] = field(default_factory=dict)
    """Each limit that has a period, with all videos counted in."""

    @property
    def exceeded(self) -> list[job_pb2.LimitStatus]:
        """The limits that do not have room for the whole batch."""
        return [each for each in self.limits.values() if each.HasField("limit") and each.left < 0]

    def count(self, found: job_pb2.PreviewJobsResponse) -> None:
        """Adds a page."""
        for each in found.jobs:
            if each.problems:
                self.refused += 1
                continue
            self.videos += 1
            money = each.quote
            self.micros[money.currency_code] = self.micros.get(money.currency_code, 0) + money.amount_micros
        for limit in found.limits:
            if limit.per == PLACES:
                continue
            key = (limit.subject, limit.measure, limit.per)
            total = self.limits.setdefault(key, limit)
            if total is not limit:
                total.asked += limit.asked
                total.left = limit.limit - limit.used - limit.held - total.asked


async def prices(
    service: Service, journal: Journal, pictures: Pictures, options: JobOptions, refuse: Callable[[int, str], None]
) -> Prices:
    """Returns the sums of all videos that are missing; calls `refuse` with each row, from 0, that would be refused.

    Raises I2VError, OSError.
    """
    found, after = Prices(), (-1, 0)
    for row, why in journal.faults():
        found.refused += 1
        refuse(row, why)
    while items := journal.missing(after, PAGE):
        after = (items[-1].row, items[-1].sample)
        wanted = [item for item in items if not _paid(item)]
        found.free += len(items) - len(wanted)
        specs = await _specs(pictures, options, wanted)
        page: list[tuple[Item, job_pb2.JobSpec]] = []
        for item, spec in zip(wanted, specs, strict=True):
            if isinstance(spec, str):
                found.refused += 1
                refuse(item.row, spec)
                continue
            if sum(each.ByteSize() for _, each in page) + spec.ByteSize() > PAGE_BYTES:
                await _preview(service, page, found, refuse)
                page = []
            page.append((item, spec))
        await _preview(service, page, found, refuse)
    return found


def _paid(item: Item) -> bool:
    return item.state is State.SUBMITTED or item.again is Again.RESUME


async def _specs(pictures: Pictures, options: JobOptions, items: list[Item]) -> list[job_pb2.JobSpec | str]:
    turns = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def one(item: Item) -> job_pb2.JobSpec | str:
        async with turns:
            try:
                image = (await pictures.of(item)).asset
            except (BadRow, InvalidRequest) as error:
                return str(error)
        return options.spec(prompt=item.prompt, negative=item.negative, seed=item.seed, image=image)

    return list(await asyncio.gather(*map(one, items)))


async def _preview(
    service: Service,
    page: list[tuple[Item, job_pb2.JobSpec]],
    found: Prices,
    refuse: Callable[[int, str], None],
) -> None:
    if not page:
        return
    answer = await service.preview_jobs([spec for _, spec in page])
    for (item, _), each in zip(page, answer.jobs, strict=True):
        for problem in each.problems:
            violation = Violation(problem.field, problem.description, problem.reason)
            refuse(item.row, error_messages.of_field(violation))
    found.count(answer)
