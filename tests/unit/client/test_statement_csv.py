"""Statements as CSV."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from i2v.v1 import job_pb2, usage_pb2

from services.client import statement_csv

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def rows(*entries: usage_pb2.LedgerEntry) -> list[dict[str, str]]:
    text = (statement_csv.head() + statement_csv.lines(entries)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def usd(micros: int) -> job_pb2.Money:
    return job_pb2.Money(amount_micros=micros, currency_code="USD")


@given(st.lists(st.builds(usage_pb2.LedgerEntry, user=TEXT, reason=TEXT, model=TEXT), max_size=5))
def test_any_text_comes_back_as_it_was_or_behind_an_apostrophe(entries: list[usage_pb2.LedgerEntry]) -> None:
    found = rows(*entries)
    assert len(found) == len(entries)
    for entry, row in zip(entries, found, strict=True):
        for name in ("user", "reason", "model"):
            assert row[name] in (getattr(entry, name), "'" + getattr(entry, name))


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_begins_as_a_formula(cell: str) -> None:
    [row] = rows(usage_pb2.LedgerEntry(user=cell, key=cell, reason=cell, actor=cell, model=cell, reference=cell))
    assert {row[name] for name in ("user", "key", "reason", "actor", "model", "reference")} == {"'" + cell}


@given(st.integers(-(2**53), 2**53))
def test_amounts_are_exact_decimals_with_six_places(micros: int) -> None:
    [row] = rows(usage_pb2.LedgerEntry(reserved=usd(micros), spent=usd(0)))
    whole, _, places = row["reserved"].partition(".")
    assert len(places) == 6 and int(whole + places) == micros
    assert row["currency"] == "USD"


def test_lines_end_as_the_standard_says_and_commas_quotes_and_line_breaks_are_quoted() -> None:
    text = statement_csv.lines([usage_pb2.LedgerEntry(reason='a "gift", or\na mistake')]).decode()
    assert text.endswith("\r\n") and '"a ""gift"", or\na mistake"' in text
