"""PassPhrases: hashes and compares pass phrases of shares, a few at a time and not on the event loop."""

import asyncio

from services.errors import Unavailable
from services.orchestrator.domain import pass_phrase
from services.reasons import LibraryReason

AT_ONCE, WAITING = 2, 20
"""Each takes 32 MiB and a processor for about 0.1 s."""


class PassPhrases:
    """The pass phrases of one process."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hashed(self, text: str, salt: bytes) -> str:
        """Returns what is stored of a pass phrase; empty without one. Raises Unavailable when too many wait."""
        if not text:
            return ""
        self._enter()
        try:
            async with self._slots:
                return await asyncio.to_thread(pass_phrase.hashed, text, salt)
        finally:
            self._waiting -= 1

    async def matches(self, text: str, stored: str) -> bool:
        """Returns whether a pass phrase is the stored one. Raises Unavailable when too many wait."""
        if not text or not stored:
            return not text and not stored
        self._enter()
        try:
            async with self._slots:
                return await asyncio.to_thread(pass_phrase.matches, text, stored)
        finally:
            self._waiting -= 1

    def _enter(self) -> None:
        if self._waiting >= AT_ONCE + WAITING:
            what = "Too many pass phrases are checked now. Try again in a moment."
            raise Unavailable(what, reason=LibraryReason.PASS_PHRASES_BUSY)
        self._waiting += 1
