"""One Triton server of a pool: its backend, its slots, and whether it takes work."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from services.errors import Unavailable
from services.orchestrator.backends.triton_addresses import shared_name
from services.orchestrator.backends.triton_backend import TritonBackend
from services.orchestrator.ports.backend import AttemptFailed, BackendEvent, GenerationRequest
from services.reasons import JobReason

UNANSWERED = {JobReason.ENGINE_UNREACHABLE, JobReason.NO_ANSWER}
CHECK_S = 8.0
"""Seconds that a server may take to answer whether it could take a job: less than a backend may take as a whole."""

LOST_S = 60.0
"""Seconds without any answer, to checks and to an attempt, after which the attempt goes on elsewhere: its machine is
gone, and no one closes the connection."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class TritonServer:
    """A server at one address, as this worker knows it."""

    address: str
    backend: TritonBackend
    slots: int
    """Jobs at a time of all workers: as many as its transformer has, once that is known."""
    jobs: int = 0
    """Of this worker."""
    checks: int = 0
    """That are under way: they need the connection."""
    obstacle: Unavailable | AttemptFailed | None = None
    """Why it takes no work."""
    listed: bool = True
    """Whether its name still has this address. If not, it gets nothing new."""
    name: str = field(init=False)
    """What all workers call it."""
    lost_s: float = LOST_S
    check_s: float = CHECK_S
    _unanswered_since: float | None = None
    _waits: dict[asyncio.Timeout, float] = field(default_factory=dict)
    """The waits of attempts for an answer, each with its begin."""
    _slots_known: bool = False
    _logged: bool = False

    def __post_init__(self) -> None:
        self.name = shared_name(self.address)

    @property
    def ready(self) -> bool:
        """Whether it takes work, as far as is known."""
        return self.listed and self.obstacle is None

    async def check(self, backend: str) -> None:
        """Finds out whether it takes work, and how many slots it has: once, and again after it took none."""
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self.check_s):
                await self.learn_slots()
                await self.backend.check()
            self.obstacle = None
        except TimeoutError:
            message = f"It said nothing for {self.check_s:g} seconds."
            self.obstacle = Unavailable(message, reason=JobReason.NO_ANSWER)
        except (Unavailable, AttemptFailed) as error:
            self.obstacle = error
        self._slots_known = self._slots_known and self.obstacle is None  # it may come back with other ones
        self._end_lost(began)
        if self._logged != (self.obstacle is not None):
            self._logged = self.obstacle is not None
            log.info(
                "a Triton takes no work" if self._logged else "a Triton takes work again",
                extra={"backend": backend, "server": self.address, "cause": str(self.obstacle or "")},
            )

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        """Yields what it makes of a request. Raises AttemptFailed, Unavailable, also when it is lost."""
        async with aclosing(self.backend.generate(attempt)) as events:
            while True:
                wait = asyncio.timeout(None)
                try:
                    async with wait:
                        self._waits[wait] = asyncio.get_running_loop().time()
                        event = await anext(events, None)
                except TimeoutError:
                    if not wait.expired():
                        raise
                    message = "The local engine does not answer."
                    raise Unavailable(message, reason=JobReason.ENGINE_UNREACHABLE) from None
                finally:
                    self._waits.pop(wait, None)
                if event is None:
                    return
                yield event

    def _end_lost(self, began: float) -> None:
        """Ends the attempts that wait as long for an answer as checks do, the last of which began then."""
        silent = isinstance(self.obstacle, Unavailable) and self.obstacle.reason in UNANSWERED
        if not silent:
            self._unanswered_since = None
            return
        self._unanswered_since = self._unanswered_since or began
        now = asyncio.get_running_loop().time()
        if now - self._unanswered_since >= self.lost_s:
            for wait, since in self._waits.items():
                if now - since >= self.lost_s:
                    wait.reschedule(now)

    async def learn_slots(self) -> None:
        """Asks the server how many videos it makes at a time, unless that is known."""
        if not self._slots_known and (slots := await self.backend.slots()) is not None:
            self.slots, self._slots_known = slots, True
