"""The writing of prompts, for callers who give a scene."""

from typing import Protocol

from services.errors import Unavailable
from services.orchestrator.domain.event import PromptWritten
from services.orchestrator.domain.spec import Scene


class ModelDown(Unavailable):
    """A language model did not answer, but may charge: it is tried again when it allows that, a few times only."""


class PromptWriter(Protocol):
    """Writes prompts from scenes."""

    async def write(self, kind: str, scene: Scene, most_characters: int, name: str) -> PromptWritten:
        """Writes the prompt of an operation of this kind. A repeat under the same name is not paid for again.

        Raises:
            services.errors.Unavailable: not now; the language model was not called.
            ModelDown: not now; a call without an answer may be on the language model's bill, and is on no ledger.
            AttemptFailed: not before an operator acts.
        """
