"""The writing of prompts, for callers who give a scene."""

from typing import Protocol

from services.orchestrator.domain.event import PromptWritten
from services.orchestrator.domain.spec import Scene


class PromptWriter(Protocol):
    """Writes prompts from scenes."""

    async def write(self, kind: str, scene: Scene, most_characters: int, name: str) -> PromptWritten:
        """Writes the prompt of an operation of this kind. A repeat under the same name is not paid for again.

        Raises:
            services.errors.Unavailable: not now; nothing was charged.
            AttemptFailed: not before somebody acts.
        """
