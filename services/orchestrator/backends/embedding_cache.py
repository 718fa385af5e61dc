"""A cache of embeddings, so that the same prompt or picture is not encoded again for every job and attempt."""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from services.orchestrator.backends.triton_client import Arrays

KEPT = 16
"""Inputs whose outputs are kept, the latest used. A long prompt's take 8 MB."""


class EmbeddingCache:
    """The outputs of one encoder for the latest inputs. The arrays are shared: they are only read."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._found: OrderedDict[str, Arrays] = OrderedDict()

    async def get(self, profile: str, given: bytes, encode: Callable[[], Awaitable[Arrays]]) -> Arrays:
        """Returns an encoder's output; calls `encode` if it is not cached. `profile` is a digest."""
        key = f"{profile} {hashlib.sha256(given).hexdigest()}"
        if key not in self._found:
            made = await encode()
            self._found[key] = made
        self._found.move_to_end(key)
        found = self._found[key]
        while len(self._found) > self._kept:
            self._found.popitem(last=False)
        return found
