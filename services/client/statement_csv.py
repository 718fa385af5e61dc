"""A statement as CSV of RFC 4180: amounts in units of the currency with six decimal places, times in UTC."""

import csv
import io
from collections.abc import Iterable

from i2v.v1 import usage_pb2

from services.client import money_format
from services.client.formatting import moment

HEAD = (
    "booked",
    "admitted",
    "kind",
    "job",
    "reference",
    "user",
    "key",
    "operation",
    "capability",
    "model",
    "reserved",
    "spent",
    "credit",
    "currency",
    "jobs",
    "video_seconds",
    "card_version",
    "quote",
    "reason",
    "actor",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would compute a cell from, if it begins with it."""


def head() -> bytes:
    """Returns the first line."""
    return _lines([HEAD])


def lines(entries: Iterable[usage_pb2.LedgerEntry]) -> bytes:
    """Returns one line an entry."""
    return _lines(map(_cells, entries))


def _cells(entry: usage_pb2.LedgerEntry) -> tuple[str, ...]:
    return (
        moment(entry.create_time),
        moment(entry.period_time),
        usage_pb2.LedgerEntry.Kind.Name(entry.kind).lower(),
        *map(_text, (entry.job, entry.reference, entry.user, entry.key)),
        *map(_text, (entry.operation, entry.capability, entry.model)),
        money_format.decimal(entry.reserved),
        money_format.decimal(entry.spent),
        money_format.decimal(entry.credit),
        entry.spent.currency_code,
        str(entry.jobs),
        f"{entry.video.ToMilliseconds() / 1000:.3f}",
        *map(_text, (entry.card_version, entry.quote_id, entry.reason, entry.actor)),
    )


def _text(cell: str) -> str:
    """Returns a text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
