"""Counts of reads, which are collected in memory and written together."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from services.errors import Unavailable
from services.orchestrator.assets.read_counts import KEYS_MOST, ReadCounts
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.ports.read_counts import Reads
from services.reasons import ServiceReason
from tests.support.builders import NOON, FakeClock

CAT, DOG = (EntryKey("studio", "ann", name) for name in ("cat", "dog"))


@dataclass
class Counters:
    """Counters in memory."""

    entries: dict[EntryKey, int] = field(default_factory=dict)
    shares: dict[int, tuple[int, int]] = field(default_factory=dict)
    writes: int = 0
    is_away: bool = False
    hangs: bool = False

    async def add(self, entries: Mapping[EntryKey, Reads], shares: Mapping[int, Reads]) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_away:
            raise Unavailable(reason=ServiceReason.DATABASE_UNAVAILABLE)
        self.writes += 1
        for key, reads in entries.items():
            self.entries[key] = self.entries.get(key, 0) + reads.downloads
        for number, reads in shares.items():
            views, downloads = self.shares.get(number, (0, 0))
            self.shares[number] = views + reads.views, downloads + reads.downloads


async def test_many_reads_are_one_write_and_none_is_no_write() -> None:
    counters = Counters()
    counts = ReadCounts(counters, FakeClock(NOON))
    await counts.write()
    assert counters.writes == 0
    for _ in range(100):
        counts.read(CAT, complete=True, share=7)
        counts.read(DOG, complete=False, share=7)
        counts.viewed(8)
    await counts.write()
    await counts.write()
    assert counters.writes == 1
    assert counters.entries == {CAT: 100, DOG: 0}
    assert counters.shares == {7: (0, 100), 8: (100, 0)}


async def test_what_could_not_be_written_is_written_later_with_what_came_meanwhile() -> None:
    counters, clock = Counters(is_away=True), FakeClock(NOON)
    counts = ReadCounts(counters, clock)
    counts.read(CAT, complete=True, share=7)
    with pytest.raises(Unavailable):
        await counts.write()
    counters.is_away, counters.hangs = False, True
    writing = asyncio.create_task(counts.write())
    await asyncio.sleep(0)
    counts.read(CAT, complete=True)
    writing.cancel()
    await asyncio.wait({writing})
    counters.hangs = False
    await counts.write()
    assert (counters.entries, counters.shares) == ({CAT: 2}, {7: (0, 1)})


async def test_the_last_write_gives_up_when_the_database_is_away() -> None:
    counters = Counters(is_away=True)
    counts = ReadCounts(counters, FakeClock(NOON))
    counts.read(CAT, complete=True)
    await counts.end()
    assert counters.writes == 0


async def test_while_the_database_is_away_the_memory_for_counts_is_bounded() -> None:
    counters = Counters(is_away=True)
    counts = ReadCounts(counters, FakeClock(NOON + timedelta(days=1)))
    for number in range(KEYS_MOST + 10):
        counts.viewed(number)
    counts.viewed(0)
    counters.is_away = False
    await counts.write()
    assert len(counters.shares) == KEYS_MOST
    assert counters.shares[0] == (2, 0)
