"""The ways in which a task ends without a video, with the same wording for all vendors."""

import re
import time
from collections.abc import Callable

from services.errors import Unavailable
from services.providers.vendor import REF, Charge, Failed, VendorRequestFailed, quoted
from services.reasons import VendorReason
from services.resource_shortage import shortage

MISSING_LOOKS = 5
"""A task that has just been submitted may not be visible everywhere immediately."""
MISSING_S = 300.0
"""Seconds. A vendor may lose sight of a task for a while."""
MISSING_TASKS = 10_000
BAD_KEY = re.compile(
    r"\b(key|token|credentials?)\b.{0,40}\b(invalid|not (valid|found)|incorrect|missing|expired|revoked|unknown)\b"
    r"|\b(invalid|incorrect|wrong|missing|expired|revoked|unknown|bad)\b.{0,20}\b(key|token|credentials?)\b"
    r"|\b(user|account)\b.{0,20}\b(locked|suspended|disabled|blocked)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Words that are about the key or the whole account, and not about one task."""


def accepted(ref: str | None) -> str | None:
    """Returns the id if it is valid."""
    return ref if ref is not None and REF.fullmatch(ref) else None


def is_refusal(status: int) -> bool:
    """Whether a status means that nothing was accepted. 408 does not: proxies answer with it for a slow vendor."""
    return 400 <= status < 500 and status != 408


def is_bad_key(status: int, words: str) -> bool:
    """Whether an answer refuses the key. A 403 may be about one task, model or picture, unless its words say more."""
    return status == 401 or (status == 403 and BAD_KEY.search(words) is not None)


def no_answer(status: int) -> Failed:
    """An answer to a submission that is neither a task nor a refusal."""
    return Failed(
        f"The vendor answered with HTTP {status} and no task; it may have taken it all the same.",
        reason=VendorReason.ANSWER_LOST,
        charge=Charge.UNKNOWN,
    )


def broke_down(status: int) -> Failed:
    """A server error in answer to a submission."""
    return Failed(
        f"The vendor failed with HTTP {status} when it was given the task; it may have taken it all the same.",
        reason=VendorReason.VENDOR_DOWN,
        charge=Charge.UNKNOWN,
    )


def refused(status: int, words: str, retry_delay_s: float | None, *, credit: bool, moderation: bool) -> Failed:
    """A refusal of a submission: certainly not charged. `credit` and `moderation`: whether the words say so."""
    if status == 402 or credit:
        return Failed(
            "The vendor's account has no credit left.",
            reason=VendorReason.NO_CREDIT,
            charge=Charge.NOT_CHARGED,
            retryable=True,
        )
    if moderation:
        return moderated(words, Charge.NOT_CHARGED)
    if is_bad_key(status, words):
        return Failed(
            "The vendor refused the key.", reason=VendorReason.BAD_KEY, charge=Charge.NOT_CHARGED, retryable=True
        )
    if status == 429:
        return Failed(
            "The vendor takes no more work of this account just now.",
            reason=VendorReason.RATE_LIMITED,
            charge=Charge.NOT_CHARGED,
            retryable=True,
            retry_delay_s=retry_delay_s,
        )
    return Failed(
        f"The vendor refused it: {quoted(words)}", reason=VendorReason.VENDOR_REFUSED, charge=Charge.NOT_CHARGED
    )


def moderated(words: str, charge: Charge) -> Failed:
    """The vendor's moderation has stopped it."""
    return Failed(f"The vendor's moderation refused it: {quoted(words)}", reason=VendorReason.MODERATION, charge=charge)


def unsent(lacking: Unavailable) -> Failed:
    """Our own machine had too few resources to send it. The vendor is not at fault."""
    message = f"{lacking.message} Nothing was submitted."
    return Failed(message, reason=lacking.reason, charge=Charge.NOT_CHARGED, retryable=True)


def not_uploaded(cause: BaseException | None = None) -> Failed:
    """An input did not reach the vendor, so nothing was submitted."""
    if (lacking := shortage(cause)) is not None:
        return unsent(lacking)
    return Failed(
        "An input could not be uploaded to the vendor; nothing was submitted.",
        reason=VendorReason.VENDOR_DOWN,
        charge=Charge.NOT_CHARGED,
        retryable=True,
    )


def failed(words: str, charge: Charge) -> Failed:
    """The vendor reports that the task has failed."""
    message = f"The vendor failed: {quoted(words)}"
    return Failed(message, reason=VendorReason.TASK_FAILED, charge=charge, retryable=charge is Charge.NOT_CHARGED)


def cancelled() -> Failed:
    """The task was cancelled, in the queue or in progress: its cost is unknown."""
    return Failed("Somebody cancelled the task.", reason=VendorReason.TASK_CANCELLED, charge=Charge.UNKNOWN)


def gone(*, resumable: bool = False) -> Failed:
    """The vendor no longer has the task; `resumable`: that may be temporary, and another poll costs nothing."""
    message = "The vendor does not know the task any more."
    return Failed(message, reason=VendorReason.TASK_GONE, charge=Charge.UNKNOWN, resumable=resumable)


def key_refused() -> Failed:
    """The key was refused while a task is in progress. The task continues, so it can be attached to again."""
    return Failed(
        "The vendor refused the key when it was asked how the task goes on; with a good one it can be asked again.",
        reason=VendorReason.BAD_KEY,
        charge=Charge.UNKNOWN,
        retryable=True,
        resumable=True,
    )


class Missing:
    """Tasks that the vendor reports as unknown. They count as gone after several such reports over some minutes."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        missing_s: float = MISSING_S,
        most_tasks: int = MISSING_TASKS,
    ) -> None:
        """`missing_s` is how long it must have been missing; `most_tasks` are remembered at a time."""
        self._clock = clock
        self._missing_s = missing_s
        self._most_tasks = most_tasks
        self._looks: dict[str, tuple[int, float]] = {}
        """Number in a row, and the time of the first."""

    def seen(self, ref: str) -> None:
        """The vendor has the task."""
        self._looks.pop(ref, None)

    def unseen(self, ref: str) -> Failed | VendorRequestFailed:
        """The vendor reports that it does not know the task. Returns the error to raise."""
        now = self._clock()
        looks, since = self._looks.pop(ref, (0, now))
        if looks >= MISSING_LOOKS and now - since >= self._missing_s:
            return gone(resumable=True)
        self._looks[ref] = looks + 1, since
        if len(self._looks) > self._most_tasks:
            del self._looks[next(iter(self._looks))]
        return VendorRequestFailed("HTTP 404", down=False)
