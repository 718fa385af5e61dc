"""Writes errors that end a thread or the process into the log: Python's own form is no line, and is not redacted."""

import logging
import sys
import threading
from types import TracebackType

log = logging.getLogger(__name__)


def log_them() -> None:
    """Replaces what Python does with errors that no one catches. An interruption by the keyboard stays as it is."""
    sys.excepthook = _of_process
    sys.unraisablehook = _of_cleanup
    threading.excepthook = _of_thread


def _of_process(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    log.critical("an unexpected failure ends the process", exc_info=(kind, error, trace))


def _of_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is not None and not isinstance(found.exc_value, SystemExit):
        log.error("an unexpected failure ended a thread", exc_info=found.exc_value)


def _of_cleanup(found: "sys.UnraisableHookArgs") -> None:
    if found.exc_value is not None:
        log.error("an unexpected failure in a cleanup", exc_info=found.exc_value)
