"""Rows of tables: CSV with a line of names, and JSON lines. Both have the same fields."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from services.client.batch import input_text, json_text
from services.client.batch.row import BadInput, BadRow, Found, Row

FIELDS = {
    "prompt": "prompt",
    "caption": "prompt",
    "image": "picture",
    "picture": "picture",
    "file_name": "picture",
    "extended_prompt": "extended_prompt",
    "seed": "seed",
    "negative": "negative",
    "name": "name",
}
"""The field of a row for each name that a table may use."""
NAMES = ", ".join(FIELDS)
SEED_MOST = 2**63 - 1


def csv_rows(path: Path) -> Iterator[Found]:
    """Yields the rows of a CSV file; its delimiter is that of its first line. Raises BadInput, OSError."""
    found = input_text.lines(path)
    head = next(found, "")
    delimiter = max(",;\t", key=head.count)

    def again() -> Iterator[str]:
        yield head
        yield from found

    reader = csv.reader(again(), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        _check_names(path, names)
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) > len(names):
                yield BadRow(f"it has {len(cells)} cells, and the first line names {len(names)}")
            else:
                yield _row(dict(zip(names, cells, strict=False)))
    except csv.Error as error:
        raise BadInput(f"{path}: line {reader.line_num}: {error}") from error


def json_rows(path: Path) -> Iterator[Found]:
    """Yields the rows of a file with one JSON object a line. Raises BadInput, OSError."""
    for line in input_text.lines(path):
        if not line.strip():
            continue
        try:
            value = json_text.loads(line)
            if not isinstance(value, dict):
                raise ValueError("it is no JSON object")
        except ValueError as error:
            yield BadRow(f"this is no JSON that is taken: {error}"[:300])
            continue
        yield _row({name.lower(): given for name, given in value.items()})


def _check_names(path: Path, names: list[str]) -> None:
    if "prompt" not in map(FIELDS.get, names):
        raise BadInput(f"{path}: the first line names no column prompt or caption; columns are {NAMES}")
    for name in names:
        if name not in FIELDS:
            raise BadInput(f"{path}: there is no column {name!r}; columns are {NAMES}")
    if len({FIELDS[name] for name in names}) != len(names):
        raise BadInput(f"{path}: the first line names a column twice")


def _row(given: Mapping[str, Any]) -> Found:
    fields: dict[str, Any] = {}
    for name, value in given.items():
        field = FIELDS.get(name)
        if field is None:
            return BadRow(f"there is no field {name!r}; fields are {NAMES}")
        if field in fields:
            return BadRow(f"{field} is there twice, under several names")
        if value is None or value == "":
            continue
        if field == "seed":
            try:
                value = _seed(value)
            except ValueError:
                return BadRow(f"the seed is a whole number, 0 to {SEED_MOST}")
        elif not isinstance(value, str):
            return BadRow(f"{name} is no text")
        fields[field] = value
    return Row(**{"prompt": ""} | fields)


def _seed(value: Any) -> int:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal() and len(value) < 40:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= SEED_MOST:
        raise ValueError
    return value
