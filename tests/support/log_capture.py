"""All that the processes' log would have, in both forms, of what runs in this process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from services.rpc import logs


class LogCapture(logging.Handler):
    """Keeps each line as JSON and as text, in the context of the call that wrote it."""

    def __init__(self) -> None:
        super().__init__()
        self.json: list[str] = []
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.json.append(logs.JsonLines().format(record))
        self.text.append(logs.TextLines().format(record))


@contextmanager
def captured(level: int = logging.DEBUG) -> Iterator[LogCapture]:
    """Captures what `I2V_LOG_LEVEL` of this level would write."""
    root, ours, handler = logging.getLogger(), logging.getLogger("services"), LogCapture()
    before = root.level, ours.level
    root.setLevel(max(level, logging.INFO))
    ours.setLevel(level)
    root.addHandler(handler)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        ours.setLevel(before[1])
