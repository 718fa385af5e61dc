"""Logging to stderr: one line a record, JSON for machines or text for people.

Every line carries the fields that are bound in its context, so all lines of a request are found by its id. Credentials
must not be logged; text that looks like one is redacted nevertheless.
"""

import contextlib
import copy
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

from services.known_secrets import REDACTED
from services.rpc import uncaught_errors
from services.rpc.log_flood_limit import FloodLimit
from services.rpc.redaction import SECRET_NAMES, redact
from services.tracing import spans

GRPC_EVERY_S = 10.0
"""Seconds between two lines about the same kind of gRPC's own messages."""
_NO_FIELDS: Mapping[str, object] = MappingProxyType({})
_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default=_NO_FIELDS)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Ends a line, moves the cursor, or turns the direction of writing, in some terminal or reader of logs."""
FIELD_CHARACTERS = 2000
EXCEPTION_CHARACTERS = 16_000


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


@contextmanager
def _alone() -> Iterator[None]:
    """Lines in the block are of no call, and of no span."""
    token, span = _context.set(_NO_FIELDS), spans.make_current(spans.NO_SPAN)
    try:
        yield
    finally:
        spans.restore(span)
        _context.reset(token)


def request_id() -> str:
    """Returns the id of the current call, or an empty text outside of a call."""
    return str(_context.get().get("request_id", ""))


def setup(level: str | int = "INFO", *, json: bool = True) -> None:
    """Configures logging to stderr. A second call replaces the first."""
    handler = StderrLines()
    handler.setFormatter(JsonLines() if json else TextLines())
    least = logging.getLevelName(level.upper()) if isinstance(level, str) else level
    # What libraries write for their own developers has rows of the database, URLs and headers.
    logging.basicConfig(level=max(least, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("services").setLevel(least)
    logging.captureWarnings(True)
    uncaught_errors.log_them()


class StderrLines(logging.StreamHandler[TextIO]):
    """Writes records to stderr, at most so many like ones a second. Of gRPC's own it writes only harmless parts.

    gRPC logs what callers send, with a traceback, before authentication: each header, as often as they like. Faults of
    ours are not among these records, because the interceptor logs them.
    """

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._written: dict[tuple[str, str, str], tuple[float, int]] = {}
        """Time of the last line of each kind, and the number omitted since; one kind for each log call of gRPC."""
        self._flood = FloodLimit()

    def handle(self, record: logging.LogRecord) -> bool:
        """Writes a record, a replacement for it, or nothing."""
        if record.name.partition(".")[0] == "grpc":
            plain = self._plain(record)
            return plain is not None and super().handle(plain)
        assert self.lock is not None
        tenant = str(_context.get().get("tenant", ""))
        with self.lock, _alone():
            omitted = self._flood.admit(record, tenant)
            self._report_omitted()
        if omitted is None:
            return False
        if omitted:
            record = copy.copy(record)
            record.__dict__["omitted"] = omitted
        return super().handle(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Python writes the record and its arguments, with what is in them; this writes where it came from."""
        with contextlib.suppress(OSError, ValueError):  # stderr itself may be closed
            kind = getattr(sys.exc_info()[0], "__name__", "")
            where = {"file": f"{record.module}:{record.lineno}", "error": kind}
            fields = {"name": __name__, "levelno": logging.ERROR, "levelname": "ERROR", **where}
            lost = logging.makeLogRecord({**fields, "msg": "a line cannot be written"})
            self.stream.write(self.format(lost) + self.terminator)

    def close(self) -> None:
        """Writes what was left out last."""
        assert self.lock is not None
        with self.lock, _alone():
            self._report_omitted(all_of_them=True)
        super().close()

    def _report_omitted(self, *, all_of_them: bool = False) -> None:
        for each in self._flood.due(all_of_them=all_of_them):
            fields = {"name": each.logger, "levelno": each.level, "levelname": logging.getLevelName(each.level)}
            more = {"what": each.message, "reason": each.reason, "tenant": each.tenant, "omitted": each.count}
            self.emit(logging.makeLogRecord({**fields, "msg": "like lines were left out", **more}))

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
    """Returns the bound fields, those of the record's `extra` and the ids of the current span, without secrets."""
    own = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    fields = {key: _safe(key, value) for key, value in {**_context.get(), **own}.items()}
    span = spans.current()
    return fields if span is None else {**fields, "trace_id": span.trace_id, "span_id": span.span_id}


@cache
def _is_secret(name: str) -> bool:
    return SECRET_NAMES.search(name) is not None


def _safe(key: str, value: object) -> object:
    if _is_secret(key):
        return REDACTED
    if value is None or isinstance(value, bool | int | float):
        return value
    return _short(redact(str(value)), FIELD_CHARACTERS)


def _short(text: str, most: int) -> str:
    """Returns the beginning and the end of a text that is longer than allowed; the end of a traceback says most."""
    return text if len(text) <= most else f"{text[: most // 4]} … {text[-(most - most // 4) :]}"


def _visible(text: str) -> str:
    """Returns the text with every character escaped that could make a reader see other lines than were written."""
    if text.isprintable():
        return text
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message, fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, Any] = {
            "time": _rfc3339(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _short(redact(record.getMessage()), FIELD_CHARACTERS),
        }
        line |= {f"{key}_" if key in line else key: value for key, value in _fields(record).items()}
        if record.exc_info:
            line["exception"] = _short(redact(self.formatException(record.exc_info)), EXCEPTION_CHARACTERS)
        if record.stack_info:
            line["stack"] = redact(record.stack_info)
        return _visible(jsonlib.dumps(line, ensure_ascii=False, separators=(",", ":")))


class TextLines(logging.Formatter):
    """One line a record for people; exceptions follow on lines of their own, which are indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        fields = " ".join(f"{key}={_quoted(value)}" for key, value in _fields(record).items())
        message = _short(redact(record.getMessage()), FIELD_CHARACTERS)
        line = _visible(f"{_rfc3339(record.created)} {record.levelname:<7} {record.name}: {message} {fields}")
        exception = redact(self.formatException(record.exc_info)) if record.exc_info else ""
        below = [f"    {_visible(each)}" for each in _short(exception, EXCEPTION_CHARACTERS).split("\n") if each]
        return "\n".join((line.rstrip(), *below))


def _quoted(value: object) -> str:
    """Returns a value; one that a reader could take for several fields is quoted."""
    text = str(value)
    return jsonlib.dumps(text, ensure_ascii=False) if isinstance(value, str) and re.search(r"[\s=\"]", text) else text


def _rfc3339(seconds: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1000):03d}Z"
