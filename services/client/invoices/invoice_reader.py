"""Reads an invoice line by line. Its first fault ends that, with the number of its line."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import BinaryIO

from services.client.invoices.amount import read_amount
from services.client.invoices.invoice_format import DELIMITERS, InvoiceFormat

LINES_MOST = 1_000_000
LINE_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")
SHOWN_MOST = 200
"""Characters of a text that is only shown."""


class InvoiceError(Exception):
    """The invoice cannot be read."""

    def __init__(self, line: int, what: str) -> None:
        self.line = line
        super().__init__(f"line {line}: {what}")


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """What one line charges, or gives back."""

    number: int
    """Of the file's line where it ends, from 1."""
    reference: str
    """Empty: it is for no task, such as a monthly fee."""
    amount: Decimal
    time: str = ""
    model: str = ""


def read_invoice(file: BinaryIO, form: InvoiceFormat) -> Iterator[InvoiceLine]:
    """Yields the lines of an invoice. Raises InvoiceError, OSError."""
    texts = _texts(file, form.encoding)
    first = next(texts, "")
    if not first.strip():
        raise InvoiceError(1, "the names of the columns are missing")
    reader = csv.reader(_again(first, texts), delimiter=form.delimiter or _delimiter(first), strict=True)
    rows = _rows(reader)
    places = _places(next(rows), form)
    width = places.pop("")
    for row in rows:
        if any(cell.strip() for cell in row):
            if len(row) != width:
                raise InvoiceError(reader.line_num, f"has {len(row)} columns; the first line has {width}")
            yield _line(row, places, form, reader.line_num)


def _line(row: list[str], places: dict[str, int], form: InvoiceFormat, number: int) -> InvoiceLine:
    cells = {name: row[place].strip() for name, place in places.items()}
    currency = cells.get("currency", form.currency_code)
    if currency.upper() != form.currency_code.upper():
        raise InvoiceError(number, f"the currency is {currency[:40]!r}, not {form.currency_code}")
    try:
        amount = read_amount(cells["amount"], form.decimal)
    except ValueError as error:
        raise InvoiceError(number, str(error)) from error
    shown = (cells.get(name, "")[:SHOWN_MOST] for name in ("time", "model"))
    return InvoiceLine(number, cells["reference"][: SHOWN_MOST * 4], amount, *shown)


def _places(head: list[str], form: InvoiceFormat) -> dict[str, int]:
    """Returns the place of each column that is read; of the empty name, the number of columns."""
    names = [name.strip().casefold() for name in head]
    wanted = {"reference": form.reference, "amount": form.amount, "currency": form.currency}
    wanted |= {"time": form.time, "model": form.model}
    places = {"": len(names)}
    for kind, name in wanted.items():
        if not name:
            continue
        match names.count(name.casefold()):
            case 0:
                there = ", ".join(repr(each.strip()) for each in head)[:300]
                raise InvoiceError(1, f"there is no column {name!r} for the {kind}; there are {there}")
            case 1:
                places[kind] = names.index(name.casefold())
            case _:
                raise InvoiceError(1, f"there are several columns {name!r}")
    return places


def _rows(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvoiceError(reader.line_num, f"is no CSV: {error}") from error  # type: ignore[attr-defined]


def _texts(file: BinaryIO, encoding: str) -> Iterator[str]:
    """Yields the lines as texts. Raises InvoiceError."""
    number = 0
    while line := file.readline(LINE_BYTES + 1):
        number += 1
        if number == 1:
            if line.startswith(OTHER_MARKS):
                raise InvoiceError(1, "the file is UTF-16; save it as UTF-8")
            line = line.removeprefix(BYTE_ORDER_MARK)
        if len(line) > LINE_BYTES or number > LINES_MOST:
            raise InvoiceError(number, f"an invoice has at most {LINES_MOST:,} lines of {LINE_BYTES:,} bytes")
        if b"\0" in line:
            raise InvoiceError(number, "has a NUL byte: the file is no text in UTF-8")
        try:
            yield line.decode(encoding)
        except UnicodeDecodeError as error:
            what = (
                f"byte {error.start + 1} is no {encoding}; save the file as UTF-8, or name its encoding in the format"
            )
            raise InvoiceError(number, what) from error


def _delimiter(head: str) -> str:
    """Returns what the first line has most, outside of quotation marks."""
    outside = "".join(head.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest
