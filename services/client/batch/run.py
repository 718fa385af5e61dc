"""The making of all videos that are missing, several at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from i2v_client.errors import I2VError, NotFound, QuotaExceeded, Unauthenticated, Unreachable
from services.client.batch.commits import Commits
from services.client.batch.item import Item
from services.client.batch.journal import Journal
from services.client.batch.maker import Made, Maker, Stopped
from services.client.batch.row import BadRow

PAGE = 100


@dataclass
class Feed:
    """Hands out the missing videos, each once, a page in memory at a time."""

    journal: Journal
    commits: Commits
    _page: list[Item] = field(default_factory=list)
    _after: tuple[int, int] = (-1, 0)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def next(self) -> Item | None:
        """Returns the next one; None: there is no other."""
        async with self._turn:
            if not self._page:
                after = self._after
                self._page = (await self.commits.make(lambda: self.journal.missing(after, PAGE)))[::-1]
            if not self._page:
                return None
            item = self._page.pop()
            self._after = (item.row, item.sample)
            return item


async def run(maker: Maker, at_once: int, show: Callable[[Made], None]) -> I2VError | OSError | None:
    """Makes what is missing, until all is tried or `maker.stop` is set. Returns what stopped it before, if anything.

    After an error that concerns all videos nothing more is submitted, and those that are on their way are waited for.
    """
    feed = Feed(maker.journal, maker.commits)
    stopped_by: list[I2VError | OSError] = []

    async def one(item: Item) -> None:
        try:
            made = await maker.make(item)
        except Stopped:
            return
        except (Unreachable, Unauthenticated, QuotaExceeded, OSError) as error:
            stopped_by.append(error)
            maker.stop.set()
            return
        except BadRow as error:
            made = Made(item, problem=str(error))
        except I2VError as error:
            made = await _refused(maker, item, error)
        show(made)

    async def worker() -> None:
        while not maker.stop.is_set() and (item := await feed.next()) is not None:
            await one(item)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(worker())
    return stopped_by[0] if stopped_by else None


async def _refused(maker: Maker, item: Item, error: I2VError) -> Made:
    """Notes a refusal. An answer of another kind leaves the submission as it is: the next call asks again."""
    why = "; ".join(each.description for each in error.violations) or error.message
    if error.violations or isinstance(error, NotFound):
        await maker.commits.make(lambda: maker.journal.refused(item, why))
    return Made(item, problem=why)
