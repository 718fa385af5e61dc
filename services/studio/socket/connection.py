"""Connection: an open socket, and the tab of a page whose it is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from services.studio.socket import generation
from services.studio.socket.follower import Follower
from services.studio.socket.meter import Meter
from services.studio.socket.pace import Pace

EVENTS_A_SECOND, EVENTS_MOST = 20.0, 60.0
STARTED_MOST = 100


class End(StrEnum):
    """How a connection ended."""

    LEFT = "left"
    SLOW = "slow"
    FLOOD = "flood"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(slots=True)
class Tab:
    """What outlives a connection. A caller's connections with the same name of a tab continue one another."""

    name: str = ""
    """Empty: it ends with its connection."""
    mode: str = generation.TEXT
    picture: str = ""
    """What was uploaded last, `assets/{sha256}`."""
    started: list[str] = field(default_factory=list)
    """Jobs, the newest last."""
    positions: dict[str, int] = field(default_factory=dict)
    """The next frame of each job that was followed when the connection ended."""

    def note_start(self, job: str) -> None:
        """Notes a job that the tab has started."""
        self.started = [*self.started, job][-STARTED_MOST:]


class Connection:
    """An open socket of a caller."""

    def __init__(self, sid: str, tab: Tab, *, follows_all: bool, waiting: Callable[[], int]) -> None:
        self.sid, self.tab, self.follows_all = sid, tab, follows_all
        self.pace = Pace(waiting)
        self.meter = Meter(EVENTS_A_SECOND, EVENTS_MOST)
        self.turn = asyncio.Lock()
        """Its events are handled one after the other."""
        self.waiting = 0
        """Events that are handled, or wait for it."""
        self.warned = False
        self.followers: dict[str, Follower] = {}
        self.end = End.LEFT
