"""Reads that wait longer for a server that is away than a single command does."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from i2v_client import AsyncClient

RETRY_FOR_S = 60.0
"""Also for the other calls of an export or an import."""


@dataclass(frozen=True, slots=True)
class LongReads:
    """The streams of a client."""

    client: AsyncClient
    retry_for_s: float = RETRY_FOR_S

    def stream(self, method: Any, request: Any) -> AsyncGenerator[Any, None]:
        """Yields the responses of one call. Raises I2VError."""
        return self.client.stream(method, request)
