"""The roll of workers, by which one takes over what another left."""

from datetime import datetime
from typing import Protocol


class Roll(Protocol):
    """The list of workers that live."""

    async def claim(self, worker: str) -> None:
        """Takes a name for as long as this process lives. Raises when another living worker has it."""

    async def release(self) -> None:
        """Gives the name back."""

    async def beat(self, worker: str) -> None:
        """Notes that a worker lives."""

    async def silent(self, since: datetime) -> list[str]:
        """Returns the workers that have not been heard of since."""

    async def bury(self, worker: str, since: datetime) -> bool:
        """Takes a silent worker off the list; True for the one caller that did it."""
