"""Heads of fragments are read once, in bounded parts."""

import asyncio
import hashlib

import pytest

from services.studio.live.boxes import UnplayableError
from services.studio.live.fragment_heads import FIRST_READ, HEAD_MOST, FragmentHeads
from services.studio.live.takes import Fragment
from tests.support.live_fragments import fragments

MADE = fragments([4])[0]


class Store:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[int] = []
        self.broken = 0

    @property
    def fragment(self) -> Fragment:
        return Fragment(0, hashlib.sha256(self.data).hexdigest(), 4, len(self.data))

    async def begin(self, sha256: str, length: int) -> bytes:
        self.reads.append(length)
        await asyncio.sleep(0)
        if self.broken:
            self.broken -= 1
            raise OSError("broken")
        return self.data[:length]


def padded(size: int) -> bytes:
    """Returns the fragment with so many bytes of padding in front of its pictures."""
    at = MADE.index(b"moof") - 4
    return MADE[:at] + (size + 8).to_bytes(4, "big") + b"free" + bytes(size) + MADE[at:]


async def test_many_players_of_a_new_fragment_read_its_head_once() -> None:
    heads, store = FragmentHeads(), Store(MADE)
    found = await asyncio.gather(*(heads.of(store.fragment, store.begin) for _ in range(500)))
    assert (len(store.reads), len({id(each) for each in found})) == (1, 1)


async def test_after_a_read_that_failed_the_next_player_reads() -> None:
    heads, store = FragmentHeads(), Store(MADE)
    store.broken = 1
    found = await asyncio.gather(*(heads.of(store.fragment, store.begin) for _ in range(3)), return_exceptions=True)
    assert [isinstance(each, OSError) for each in found] == [True, False, False]
    assert len(store.reads) == 2


async def test_a_longer_head_is_read_in_a_second_read_and_an_endless_one_is_refused() -> None:
    heads, store = FragmentHeads(), Store(padded(100_000))
    assert (await heads.of(store.fragment, store.begin)).media == store.data.index(b"moof") - 4
    assert len(store.reads) == 2 and store.reads[0] == FIRST_READ
    endless = Store(padded(2 * HEAD_MOST))
    with pytest.raises(UnplayableError):
        await heads.of(endless.fragment, endless.begin)
    assert sum(endless.reads) <= HEAD_MOST


async def test_the_heads_that_are_kept_are_bounded() -> None:
    heads, stores = FragmentHeads(kept=2), [Store(padded(number)) for number in range(3)]
    for each in (*stores, stores[2], stores[0]):
        await heads.of(each.fragment, each.begin)
    assert [len(each.reads) for each in stores] == [2, 1, 1]
