"""Secrets that all replicas of the service share, and no caller knows."""

from typing import Protocol


class ServiceSecrets(Protocol):
    """The secrets. Raises services.errors.Unavailable if the database cannot be reached."""

    async def secret(self, name: str) -> bytes:
        """Returns the 32 random bytes of this name. They are made at the first request, and stay the same."""
