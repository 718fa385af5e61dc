"""The failures of the processes that open files: who wants to know of them is called.

The sandboxes belong to the process and not to one application in it, so those who count register here.
"""

from typing import Literal, Protocol
from weakref import WeakSet

Kind = Literal[
    "pictures",
    "videos",
    "outputs",
    "repacks",
    "sounds",
    "credentials",
    "signatures",
    "renditions",
    "marks",
    "encodings",
]
"""What a child is for."""
FAILURES = ("crashed", "killed", "out-of-time", "starved", "no-start")


class SandboxMeter(Protocol):
    """Counts failures, from any thread. Raises nothing."""

    def failed(self, kind: str, failure: str) -> None:
        """A child for files of a kind failed."""


_meters: WeakSet[SandboxMeter] = WeakSet()


def count_with(meter: SandboxMeter) -> None:
    """Lets a meter count until no one else has it."""
    _meters.add(meter)


def report(kind: str, failure: str) -> None:
    """Reports a failure."""
    for meter in list(_meters):
        meter.failed(kind, failure)
