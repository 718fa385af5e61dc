"""How a vendor's invoice is written: the names of its columns, and how it writes numbers. A table of a TOML file."""

import codecs
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

DECIMALS = ("", ".", ",")
DELIMITERS = (",", ";", "\t", "|")


class FormatError(Exception):
    """The file of formats, or what it says of a vendor, cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceFormat:
    """The form of one vendor's invoices. Names of columns are compared without regard to case."""

    reference: str = "reference"
    """Column with the vendor's id of the task, or ours of the submission."""
    amount: str = "amount"
    """Column with what the task costs; negative for a refund."""
    currency: str = ""
    """Column with the currency; empty: there is none."""
    time: str = ""
    """Column with the time; empty: there is none. It is only shown."""
    model: str = ""
    """Column with the model; empty: there is none. It is only shown."""
    currency_code: str = "USD"
    """The currency that the invoice must have."""
    decimal: str = ""
    """`.` or `,`, where amounts can be read in two ways; empty: what is certain is read, the rest refused."""
    delimiter: str = ""
    """Between columns; empty: the one that the first line has most."""
    encoding: str = "utf-8"
    """UTF-8, or an encoding with one byte a character, such as `cp1252`."""


def read_format(file: Path | None, provider: str) -> InvoiceFormat:
    """Returns the format of a provider's invoices. Raises FormatError, OSError."""
    if file is None:
        return InvoiceFormat()
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{file} is no TOML: {error}") from error
    given = tables.get(provider)
    if not isinstance(given, dict):
        raise FormatError(f"{file} has no table [{provider}]")
    known = {each.name for each in fields(InvoiceFormat)}
    if wrong := sorted(name for name, value in given.items() if name not in known or not isinstance(value, str)):
        raise FormatError(
            f"{file}, [{provider}]: {wrong[0]} is unknown or no text; known are {', '.join(sorted(known))}"
        )
    found = InvoiceFormat(**given)
    _check(found, f"{file}, [{provider}]")
    return found


def _check(given: InvoiceFormat, place: str) -> None:
    if not given.reference or not given.amount:
        raise FormatError(f"{place}: reference and amount are needed")
    if given.decimal not in DECIMALS:
        raise FormatError(f"{place}: decimal is {given.decimal!r}; it is '.' or ','")
    if given.delimiter and given.delimiter not in DELIMITERS:
        raise FormatError(f"{place}: delimiter is {given.delimiter!r}; it is one of , ; | and a tab")
    try:
        name = codecs.lookup(given.encoding).name
        single = len("\n0".encode(name)) == 2 and "\n0".encode(name) == b"\n0"
    except (LookupError, UnicodeError):
        single = False
    if not single:
        raise FormatError(f"{place}: encoding is {given.encoding!r}; save the invoice as UTF-8 and leave it out")
