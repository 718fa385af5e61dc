"""A statement as CSV of RFC 4180: amounts in units of the currency with six decimal places, times in UTC."""

from collections.abc import Iterable

from i2v.v1 import usage_pb2

from services.client import money_format
from services.client.formatting import moment
from services.client.spreadsheet_csv import lines as csv_lines
from services.client.spreadsheet_csv import text

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


def head() -> bytes:
    """Returns the first line."""
    return csv_lines([HEAD])


def lines(entries: Iterable[usage_pb2.LedgerEntry]) -> bytes:
    """Returns one line an entry."""
    return csv_lines(map(_cells, entries))


def _cells(entry: usage_pb2.LedgerEntry) -> tuple[str, ...]:
    return (
        moment(entry.create_time),
        moment(entry.period_time),
        usage_pb2.LedgerEntry.Kind.Name(entry.kind).lower(),
        *map(text, (entry.job, entry.reference, entry.user, entry.key)),
        *map(text, (entry.operation, entry.capability, entry.model)),
        money_format.decimal(entry.reserved),
        money_format.decimal(entry.spent),
        money_format.decimal(entry.credit),
        entry.spent.currency_code,
        str(entry.jobs),
        f"{entry.video.ToMilliseconds() / 1000:.3f}",
        *map(text, (entry.card_version, entry.quote_id, entry.reason, entry.actor)),
    )
