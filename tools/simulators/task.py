"""A task of a simulated vendor: its request, its state over time, and the refusal of a request."""

import asyncio
from dataclasses import dataclass, field

from tools.simulators.scenario import Scenario


@dataclass
class Request:
    """The parameters of a submission, the same for every vendor."""

    model: str
    picture: bytes
    short_side: int
    seconds: float
    sound: bytes | None = None
    prompt: str = ""


@dataclass
class Work:
    """One task of a simulated vendor."""

    ref: str
    request: Request
    scenario: Scenario
    began: float
    released: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    cut: int = 0

    @property
    def ends(self) -> float:
        """When it ends, unless its scenario keeps it in a state."""
        return self.began + self.scenario.queue_s + self.scenario.work_s

    def state(self, now: float) -> str:
        """`queue`, `work`, or how it has ended."""
        if self.cancelled:
            return "cancelled"
        if self.scenario.stay and not self.released.is_set():
            return self.scenario.stay
        if now < self.began + self.scenario.queue_s:
            return "queue"
        return "work" if now < self.ends else self.scenario.end


class Refusal(Exception):
    """The vendor refuses a request."""

    def __init__(self, status: int, words: str) -> None:
        self.status = status
        self.words = words
