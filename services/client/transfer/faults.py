"""What is wrong with an export."""

from dataclasses import asdict, dataclass
from typing import Any

import grpc

from i2v_client.errors import InvalidRequest
from i2v_client.failure import Failure
from services.reasons import Reason


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    reason: Reason
    place: str
    """A file of the export, and a line of it."""
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text} ({self.reason})"

    def as_dict(self) -> dict[str, Any]:
        """Returns it for a program."""
        return asdict(self) | {"reason": str(self.reason)}


class BrokenExport(InvalidRequest):
    """An export that cannot be read, or does not hold what it says."""

    def __init__(self, reason: Reason, place: str, text: str) -> None:
        self.fault = Fault(reason, place, text)
        super().__init__(Failure(grpc.StatusCode.INVALID_ARGUMENT, str(self.fault), reason, {"place": place}))
