"""The port that each vendor implements, and every way in which its work can end.

A vendor is spoken to in three moments: the one submission that costs money, looks at what became of it that cost
nothing and may be repeated, and the wish to stop it. What a vendor says is data from outside: an implementation hands
on nothing that it has not checked the type of.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

from services.providers.task import Task
from services.providers.vendor_model import Model

REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""What a vendor's id of a task may look like. It becomes part of a URL's path, so nothing else will do."""

QUOTED_CHARACTERS = 200
PROMISES = 32
PROMISE_BYTES = 256

_UNSPEAKABLE = re.compile(r"\S+://\S+|\S+@\S+|\b(?=[\w-]*\d)[\w-]{12,}\b|[\x00-\x1f\x7f]")


class Charge(Enum):
    """Whether a task that came to nothing was paid for."""

    NOT_CHARGED = "not-charged"
    """It never reached the vendor, or the vendor says so."""
    UNKNOWN = "unknown"
    """Nobody knows yet."""
    CHARGED = "charged"
    """The vendor has charged it, or will."""


class Failed(Exception):
    """There will be no video from this call. `message` is for a person and names no id, address or key."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        charge: Charge,
        retryable: bool = False,
        resumable: bool = False,
        retry_delay_s: float | None = None,
    ) -> None:
        self.message = message
        self.reason = reason
        self.charge = charge
        self.retryable = retryable
        self.resumable = resumable
        self.retry_delay_s = retry_delay_s
        super().__init__(f"{reason}: {message}")


class Troubled(Exception):
    """A look could not be had, or made no sense. Nothing is known, nothing has changed: look again later."""

    def __init__(self, message: str, *, retry_delay_s: float | None = None, down: bool = True) -> None:
        """`down`: whether it speaks against the vendor as a whole, and not only asks for patience."""
        self.retry_delay_s = retry_delay_s
        self.down = down
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a vendor says of a task; none of it is believed."""

    model: str = ""
    create_time: datetime | None = None
    inference_s: float | None = None
    nsfw: bool | None = None
    promised: Mapping[str, str] = field(default_factory=dict)
    """At most 32 entries of at most 256 bytes."""


@dataclass(frozen=True, slots=True)
class Working:
    """The vendor has the task and is not done."""

    stage: str
    """`vendor-queue` or `vendor-work`."""
    create_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The vendor has made a video, which lies at `url`."""

    url: str
    facts: Facts


class Stop(Enum):
    """What a vendor did about the wish to stop a task."""

    STOPPED = "stopped"
    """It had not begun, and costs nothing."""
    GOES_ON = "goes-on"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Found:
    """What looking for a lost task came to: its ref, or none; `certain` when the vendor has no such task."""

    ref: str | None
    certain: bool = False


class Vendor(Protocol):
    """One vendor's models. Every method may be called for a thousand tasks at a time, on one event loop."""

    name: str
    """Kebab-case."""
    models: Mapping[str, Model]
    """By the names that cards use."""
    can_cancel: bool
    can_find: bool
    """Whether it keeps anything by which a lost task could be found, or its absence be proved."""
    has_webhooks: bool
    """Whether it reports an end in a form that is understood here."""
    refund_window_s: float | None
    """How long after a submission it has given back what it took for a task that came to nothing; None: it promises
    no such thing."""

    async def submit(self, task: Task) -> str:
        """Submits a task, with at most one paid request, and returns the vendor's id of it.

        Raises:
            Failed: it was not accepted, or nobody knows.
        """
        ...

    async def look(self, ref: str, model: str) -> Working | Finished:
        """Looks once at a task.

        Raises:
            Troubled: nothing could be seen.
            Failed: it has ended without a video.
        """
        ...

    async def stop(self, ref: str, model: str) -> Stop:
        """Asks for a task to be stopped.

        Raises:
            Troubled: the vendor could not be asked.
        """
        ...

    async def find(self, model: str, submit_time: datetime, now: datetime) -> Found:
        """Looks among what the vendor keeps for a task that was submitted about then, and whose answer was lost.

        Raises:
            Troubled: the vendor could not be asked.
        """
        ...

    async def webhook_secret(self) -> str:
        """Returns the secret with which the vendor signs its webhooks. Not called if the vendor has none.

        Raises:
            Troubled: the vendor could not be asked, or has none now.
        """
        ...


def quoted(text: object) -> str:
    """Returns a vendor's own words as they can be shown: short, on one line, without what may be an id or a URL."""
    return _UNSPEAKABLE.sub("…", str(text)).strip()[:QUOTED_CHARACTERS] if isinstance(text, str) else ""


def promises(given: Mapping[str, object]) -> dict[str, str]:
    """Returns what a vendor promises, cut to what VendorFacts may hold. Anything but plain values is left out.

    Callers see it on their assets: ids and addresses are struck out as in a vendor's words, and so is what no database
    takes.
    """
    kept: dict[str, str] = {}
    for key, value in given.items():
        if len(kept) == PROMISES:
            break
        key, told = _UNSPEAKABLE.sub("…", key), str(value)
        if isinstance(value, str | int | float | bool) and len(key.encode()) <= PROMISE_BYTES:
            told = _UNSPEAKABLE.sub("…", told) if isinstance(value, str) else told
            kept[key] = told.encode()[:PROMISE_BYTES].decode(errors="ignore")
    return kept
