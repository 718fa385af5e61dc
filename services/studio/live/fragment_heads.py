"""FragmentHeads: the heads of fragments, read once: a fragment is named by its digest, so its head never changes."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from services.studio.live import fragment_head
from services.studio.live.boxes import TooShortError, UnplayableError
from services.studio.live.fragment_head import FragmentHead
from services.studio.live.takes import Fragment

FIRST_READ = 16 * 1024
"""Bytes; the heads of our own engines have about one KiB."""
HEAD_MOST = 1024 * 1024
KEPT = 512
Begin = Callable[[str, int], Awaitable[bytes]]
"""Returns the first bytes of a fragment, by its digest and their number."""


class FragmentHeads:
    """The heads that were used last."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._heads: OrderedDict[str, FragmentHead] = OrderedDict()
        self._reading: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def of(self, fragment: Fragment, begin: Begin) -> FragmentHead:
        """Returns the head of a fragment that the caller may read.

        Raises UnplayableError if it cannot be cut into segments, and what `begin` raises.
        """
        name = fragment.sha256
        if name not in self._heads:
            # Many players ask for a new fragment at once: one reads, and if that fails the next one.
            async with self._reading.setdefault(name, asyncio.Lock()):
                if name not in self._heads:
                    head = await _read(fragment, begin)
                    self._heads[name] = head
                    if len(self._heads) > self._kept:
                        self._heads.popitem(last=False)
                    return head
        self._heads.move_to_end(name)
        return self._heads[name]


async def _read(fragment: Fragment, begin: Begin) -> FragmentHead:
    size, wanted = fragment.size_bytes, FIRST_READ
    while True:
        data = await begin(fragment.sha256, min(wanted, size))
        try:
            return fragment_head.read(data, size)
        except TooShortError as error:
            if not len(data) < error.size <= min(size, HEAD_MOST) or len(data) < min(wanted, size):
                raise UnplayableError(f"has a head of {error.size} bytes or more") from error
            wanted = min(error.size + FIRST_READ, HEAD_MOST)
