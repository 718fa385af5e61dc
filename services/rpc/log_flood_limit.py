"""Limits how many like lines a second go into the log, and counts the others."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MOST = 100
"""Lines of one kind in a second."""
EVERY_S = 1.0
KINDS = 2000
"""Kinds that are distinguished by tenant and reason; beyond them, by their log call alone."""

Kind = tuple[str, int, int, str, str]
"""Logger, line in its file, level, tenant and reason."""


@dataclass(slots=True)
class _Window:
    began: float
    written: int = 0
    omitted: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Omitted:
    """Lines of one kind that were left out, and that no later line of their kind has counted."""

    logger: str
    level: int
    tenant: str
    reason: str
    message: str
    count: int


class FloodLimit:
    """One of a process. The caller must lock it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[Kind, _Window] = {}
        self._omitting: set[Kind] = set()

    def admit(self, record: logging.LogRecord, tenant: str) -> int | None:
        """Returns how many lines of its kind were left out before this one; None: it is to be left out, too."""
        kind = (record.name, record.lineno, record.levelno, tenant, str(getattr(record, "reason", "")))
        now = self._clock()
        window = self._windows.get(kind)
        if window is None:
            kind, window = self._new(kind, now)
        if now - window.began >= EVERY_S:
            omitted = window.omitted
            window.began, window.written, window.omitted = now, 1, 0
            self._omitting.discard(kind)
            return omitted
        if window.written < MOST:
            window.written += 1
            return 0
        window.omitted += 1
        window.message = str(record.msg)
        self._omitting.add(kind)
        return None

    def due(self, *, all_of_them: bool = False) -> Iterator[Omitted]:
        """Yields what was left out in seconds that are over, once; or everything that was left out."""
        now = self._clock()
        for kind in tuple(self._omitting):
            window = self._windows[kind]
            if all_of_them or now - window.began >= 2 * EVERY_S:  # a line of the flood itself would have come by now
                yield Omitted(kind[0], kind[2], kind[3], kind[4], window.message, window.omitted)
                window.omitted = 0
                self._omitting.discard(kind)

    def _new(self, kind: Kind, now: float) -> tuple[Kind, _Window]:
        if len(self._windows) >= KINDS:
            ended = [each for each, window in self._windows.items() if now - window.began >= EVERY_S]
            for each in ended:
                if each not in self._omitting:
                    del self._windows[each]
        if len(self._windows) >= KINDS:
            kind = (*kind[:3], "", "")
        return kind, self._windows.setdefault(kind, _Window(now))
