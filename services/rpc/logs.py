"""Logging to stderr: one line a record, JSON for machines or text for people.

Every line carries the fields that are bound in its context, so all lines of a request are found by its id. Credentials
must not be logged; text that looks like one is redacted nevertheless.
"""

import json as jsonlib
import logging
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import MappingProxyType
from typing import Any, TextIO

REDACTED = "[redacted]"
GRPC_EVERY_S = 10.0
"""Seconds between two lines about the same kind of gRPC's own messages."""
_NO_FIELDS: Mapping[str, object] = MappingProxyType({})
_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default=_NO_FIELDS)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET_NAMES = re.compile(r"authorization|password|passwd|secret|token|api_?key|credential", re.IGNORECASE)
_SECRETS = re.compile(
    r"""(\bbearer\s+)[^\s"',;)\]}]+                                   # Bearer abc
      | (\bauthorization['"]?\s*[:=,]\s*['"]?)(?!bearer\b)[^\s"',;)\]}]+  # authorization: abc
      | (://[^\s:/@]*:)[^\s@/]+(?=@)                                  # scheme://user:password@host
      | (\bi2v_[a-z0-9]{4,64}_)[A-Za-z0-9_-]{16,}                          # an API key of ours; its id stays
      | (\b(?:password|secret|token|api_?key|x-amz-(?:signature|credential))['"]?\s*[:=]\s*['"]?)[^\s"',;)\]}&]+
    """,
    re.IGNORECASE | re.VERBOSE,
)


_HINTS = ("bearer", "i2v_", "authorization", "://", "password", "secret", "token", "key", "x-amz-")
"""A text without any of these holds no credential; this check first is ten times as fast."""


def redact(text: str) -> str:
    """Returns the text with everything that looks like a credential redacted."""
    lowered = text.lower()
    if not any(hint in lowered for hint in _HINTS):
        return text
    return _SECRETS.sub(lambda found: next(filter(None, found.groups()), "") + REDACTED, text)


def bind(**fields: object) -> None:
    """Adds fields to every later line of this context: the rest of a call, or of a task."""
    _context.set({**_context.get(), **fields})


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Adds fields to every line in the block."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def request_id() -> str:
    """Returns the id of the current call, or an empty text outside of a call."""
    return str(_context.get().get("request_id", ""))


def setup(level: str | int = "INFO", *, json: bool = True) -> None:
    """Configures logging to stderr. A second call replaces the first."""
    handler = _Stderr()
    handler.setFormatter(JsonLines() if json else TextLines())
    logging.basicConfig(level=level.upper() if isinstance(level, str) else level, handlers=[handler], force=True)
    logging.captureWarnings(True)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes records to stderr. Of gRPC's own records it writes only harmless parts, and limits their rate.

    gRPC logs what callers send, with a traceback, before authentication: each header, as often as they like. Faults of
    ours are not among these records, because the interceptor logs them.
    """

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._written: dict[tuple[str, str, str], tuple[float, int]] = {}
        """Time of the last line of each kind, and the number omitted since; one kind for each log call of gRPC."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Writes a record, a replacement for it, or nothing."""
        if record.name.partition(".")[0] == "grpc":
            plain = self._plain(record)
            return plain is not None and super().handle(plain)
        return super().handle(record)

    def _plain(self, record: logging.LogRecord) -> logging.LogRecord | None:
        # A text without arguments may already contain data of the caller.
        what = re.sub(r"%[a-z]", "…", str(record.msg)) if record.args else ""
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        now, key = time.monotonic(), (record.name, what, error)
        written, omitted = self._written.get(key, (-GRPC_EVERY_S, 0))
        if now - written < GRPC_EVERY_S:
            self._written[key] = written, omitted + 1
            return None
        self._written[key] = now, 0
        level = min(record.levelno, logging.WARNING)
        fields = {"name": record.name, "levelno": level, "levelname": logging.getLevelName(level)}
        message = "gRPC reported an unexpected event"
        return logging.makeLogRecord({**fields, "msg": message, "what": what, "error": error, "omitted": omitted})


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """Returns the bound fields and those of the record's `extra`, without secrets."""
    own = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    return {key: _safe(key, value) for key, value in {**_context.get(), **own}.items()}


@cache
def _is_secret(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


def _safe(key: str, value: object) -> object:
    if _is_secret(key):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message, fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, Any] = {
            "time": _rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        line |= {f"{key}_" if key in line else key: value for key, value in _fields(record).items()}
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = redact(record.stack_info)
        return jsonlib.dumps(line, ensure_ascii=False, separators=(",", ":"))


class TextLines(logging.Formatter):
    """One line a record for people; exceptions follow on lines of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        fields = " ".join(f"{key}={value}" for key, value in _fields(record).items())
        line = f"{_rfc3339(record.created)} {record.levelname:<7} {record.name}: {redact(record.getMessage())} {fields}"
        exception = redact(self.formatException(record.exc_info)) if record.exc_info else ""
        return "\n".join(filter(None, (line.rstrip(), exception)))


def _rfc3339(seconds: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1000):03d}Z"
