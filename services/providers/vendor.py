"""The port that each vendor implements, and every way in which its work can end.

There are three kinds of request: the one submission that costs money, polls of the task, which cost nothing and may be
repeated, and the request to stop it. Answers are untrusted: an implementation passes on only values whose type it has
checked.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

from services.providers.task import Task
from services.providers.vendor_model import Model
from services.reasons import Reason

REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""What a vendor's id of a task may look like. It becomes part of a URL's path, so other characters are refused."""

QUOTED_CHARACTERS = 200
PROMISES = 32
PROMISE_BYTES = 256

_HIDDEN = re.compile(r"\S+://\S+|\S+@\S+|\b(?=[\w-]*\d)[\w-]{12,}\b|[\x00-\x1f\x7f]")


class Charge(Enum):
    """Whether a task without a video was paid for."""

    NOT_CHARGED = "not-charged"
    """It never reached the vendor, or the vendor reports that it is free."""
    UNKNOWN = "unknown"
    """Not known yet."""
    CHARGED = "charged"
    """The vendor has charged it, or will."""


class Failed(Exception):
    """There will be no video from this call. `message` is for a person and names no id, address or key."""

    def __init__(
        self,
        message: str,
        *,
        reason: Reason,
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


class VendorRequestFailed(Exception):
    """A free request got no usable answer. Nothing has changed, and it may be repeated later."""

    def __init__(self, message: str, *, retry_delay_s: float | None = None, down: bool = True) -> None:
        """`down`: whether it is a failure of the vendor as a whole, and not only a request to wait."""
        self.retry_delay_s = retry_delay_s
        self.down = down
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A vendor's facts about a task; none of them is trusted."""

    model: str = ""
    create_time: datetime | None = None
    inference_s: float | None = None
    nsfw: bool | None = None
    promised: Mapping[str, str] = field(default_factory=dict)
    """At most 32 entries of at most 256 bytes."""


@dataclass(frozen=True, slots=True)
class Working:
    """The vendor has the task and has not finished it."""

    stage: str
    """`vendor-queue` or `vendor-work`."""
    create_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The vendor has made a video, which is at `url`."""

    url: str
    facts: Facts


class Stop(Enum):
    """A vendor's answer to the request to stop a task."""

    STOPPED = "stopped"
    """It had not begun, and costs nothing."""
    GOES_ON = "goes-on"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Found:
    """The result of the search for a lost task: its ref, or none; `certain` when the vendor has no such task."""

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
    """Whether it keeps anything that could show a lost task, or prove its absence."""
    has_webhooks: bool
    """Whether it reports an end in a form that is understood here."""
    refund_window_s: float | None
    """Seconds from a submission within which it refunds a task without a video; None: it promises no refund."""

    async def submit(self, task: Task) -> str:
        """Submits a task, with at most one paid request, and returns the vendor's id of it.

        Raises:
            Failed: it was not accepted, or that is unknown.
        """
        ...

    async def look(self, ref: str, model: str) -> Working | Finished:
        """Polls a task once.

        Raises:
            VendorRequestFailed: the state is unknown.
            Failed: it has ended without a video.
        """
        ...

    async def stop(self, ref: str, model: str) -> Stop:
        """Requests that a task is stopped.

        Raises:
            VendorRequestFailed: the vendor could not be asked.
        """
        ...

    async def find(self, model: str, submit_time: datetime, now: datetime) -> Found:
        """Searches the vendor's records for a task that was submitted about then, and whose answer was lost.

        Raises:
            VendorRequestFailed: the vendor could not be asked.
        """
        ...

    async def webhook_secret(self) -> str:
        """Returns the secret with which the vendor signs its webhooks. Not called if the vendor has none.

        Raises:
            VendorRequestFailed: the vendor could not be asked, or has none now.
        """
        ...


def quoted(text: object) -> str:
    """Returns a vendor's text as it can be shown: short, on one line, without anything that may be an id or a URL."""
    return _HIDDEN.sub("…", str(text)).strip()[:QUOTED_CHARACTERS] if isinstance(text, str) else ""


def promises(given: Mapping[str, object]) -> dict[str, str]:
    """Returns a vendor's promises within the limits of VendorFacts. Only plain values are kept.

    Callers see them on their assets: ids, addresses and control characters are removed, as in a vendor's texts.
    """
    kept: dict[str, str] = {}
    for key, value in given.items():
        if len(kept) == PROMISES:
            break
        key, text = _HIDDEN.sub("…", key), str(value)
        if isinstance(value, str | int | float | bool) and len(key.encode()) <= PROMISE_BYTES:
            text = _HIDDEN.sub("…", text) if isinstance(value, str) else text
            kept[key] = text.encode()[:PROMISE_BYTES].decode(errors="ignore")
    return kept
