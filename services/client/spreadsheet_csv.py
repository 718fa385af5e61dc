"""CSV of RFC 4180 that a spreadsheet opens without computing anything of it."""

import csv
import io
from collections.abc import Iterable

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would compute a cell from, if it begins with it."""


def text(cell: str) -> str:
    """Returns a text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def lines(rows: Iterable[Iterable[str]]) -> bytes:
    """Returns one line a row."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode()
