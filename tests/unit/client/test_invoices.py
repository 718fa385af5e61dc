"""Vendors' invoices: how they are read, what is refused, and what differs from our records."""

import csv
import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from i2v.admin.v1 import cost_pb2
from i2v.v1 import job_pb2

from services.client.invoices import report
from services.client.invoices.amount import read_amount
from services.client.invoices.comparison import Comparison, Verdict, compare
from services.client.invoices.invoice_format import FormatError, InvoiceFormat, read_format
from services.client.invoices.invoice_reader import InvoiceError, InvoiceLine, read_invoice

FORM = InvoiceFormat(currency="currency")


def read(text: str | bytes, form: InvoiceFormat = FORM) -> list[InvoiceLine]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(read_invoice(io.BytesIO(data), form))


def refusal(text: str | bytes, form: InvoiceFormat = FORM) -> str:
    with pytest.raises(InvoiceError) as error:
        read(text, form)
    return str(error.value)


def call(number: int, micros: int, *, time_s: int = 500, state: str = "charged") -> cost_pb2.VendorCall:
    return cost_pb2.VendorCall(
        submission_id=f"job{number}.1",
        external_ref=f"task-{number}",
        job=f"jobs/job{number}",
        tenant="tenants/studio",
        model="wan",
        state=state,
        submit_time=Timestamp(seconds=time_s),
        cost=job_pb2.Money(amount_micros=micros, currency_code="USD"),
    )


async def compared(text: str, *calls: cost_pb2.VendorCall, tolerance: str = "0", currency: str = "USD") -> Comparison:
    async def stream() -> AsyncIterator[cost_pb2.VendorCall]:
        for each in calls:
            yield each

    lines = read_invoice(io.BytesIO(text.encode()), InvoiceFormat())
    return await compare(lines, stream(), since=100, until=1000, currency=currency, tolerance=Decimal(tolerance))


@pytest.mark.parametrize(
    ("text", "decimal", "amount"),
    [
        ("0.25", "", "0.25"),
        (" 12 ", "", "12"),
        ("0,25", "", "0.25"),
        ("1.234,56", "", "1234.56"),
        ("1,234.56", "", "1234.56"),
        ("1'234.50", "", "1234.5"),
        ("1 234,50 €", "", "1234.5"),
        ("1\u00a0234,50", "", "1234.5"),
        ("1,234,567", "", "1234567"),
        ("1.250", ".", "1.25"),
        ("1.250", ",", "1250"),
        ("0.125", "", "0.125"),
        ("$0.0375", "", "0.0375"),
        ("USD 3.10", "", "3.1"),
        ("-0.25", "", "-0.25"),
        ("−0.25", "", "-0.25"),
        ("$-0.25", "", "-0.25"),
        ("(0.25)", "", "-0.25"),
        ("3.75E-2", "", "0.0375"),
        (".5", "", "0.5"),
        ("7.", "", "7"),
    ],
)
def test_an_amount_is_read_as_people_and_spreadsheets_write_it(text: str, decimal: str, amount: str) -> None:
    assert read_amount(text, decimal) == Decimal(amount)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "free",
        "1.2.3,4",
        "1,23,4",
        "12,34.5",
        "0x10",
        "nan",
        "inf",
        "--1",
        "1e999",
        "٣",
        "1.250",
        "=1+1",
        ",",
        ".",
        pytest.param("1" + " " * 100_000 + "2", id="long"),
    ],
)
def test_what_is_no_amount_or_can_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|two ways|large"):
        read_amount(text)


async def test_amounts_of_another_currency_than_that_of_our_records_are_not_compared() -> None:
    with pytest.raises(InvoiceError, match="the invoice is in EUR, and our records are in USD"):
        await compared("reference,amount\ntask-1,0.25\n", call(1, 250_000), currency="EUR")


def test_the_code_of_a_currency_may_have_small_letters() -> None:
    for form in (InvoiceFormat(currency_code="eur"), InvoiceFormat(currency_code="eur", currency="currency")):
        assert [line.amount for line in read("reference,amount,currency\nt,0.5,EUR\n", form)] == [Decimal("0.5")]


@given(st.integers(-(10**15), 10**15), st.sampled_from([".", ","]), st.booleans())
def test_an_amount_that_is_written_with_a_known_mark_is_read_exactly(micros: int, mark: str, groups: bool) -> None:
    whole, part = divmod(abs(micros), 10**6)
    grouped = f"{whole:,}".replace(",", "." if mark == "," else ",") if groups else str(whole)
    text = f"{'-' if micros < 0 else ''}{grouped}{mark}{part:06d}"
    assert read_amount(text, mark) == Decimal(micros).scaleb(-6)


@given(st.text(max_size=20))
def test_any_text_is_an_amount_or_refused_with_a_sentence(text: str) -> None:
    try:
        assert read_amount(text).is_finite()
    except ValueError as error:
        assert "amount" in str(error) or "two ways" in str(error) or "large" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfReference,Amount,Currency\r\ntask-1,0.25,USD\r\n",
        b"reference;amount;currency\ntask-1;0,25;usd",
        b'"Reference"\t"Amount"\t"Currency"\n"task-1"\t" 0.25 "\t"USD"\n\n',
        b'note,reference,amount,currency\n"a, ""b""\nand c",task-1,0.25,USD\n',
    ],
    ids=["mark and CR LF", "semicolons", "tabs", "quotation marks"],
)
def test_an_invoice_is_read_in_the_forms_that_spreadsheets_write(data: bytes) -> None:
    [line] = read(data)
    assert (line.reference, line.amount) == ("task-1", Decimal("0.25"))


def test_columns_have_the_names_and_the_encoding_of_the_format(tmp_path: Path) -> None:
    file = tmp_path / "formats.toml"
    file.write_text(
        '[maker]\nreference = "Vorgang"\namount = "Betrag"\ntime = "Zeit"\nmodel = "Modell"\ncurrency_code = "USD"\n'
        'decimal = ","\ndelimiter = ";"\nencoding = "cp1252"\n'
    )
    data = "Zeit;Modell;Vorgang;Betrag\n2026-11-30;Größe;t1;1.250\n".encode("cp1252")
    assert read(data, read_format(file, "maker")) == [InvoiceLine(2, "t1", Decimal(1250), "2026-11-30", "Größe")]


@pytest.mark.parametrize("provider", ["wavespeed", "fal"])
def test_the_shipped_example_of_formats_can_be_used(provider: str) -> None:
    assert read_format(Path(__file__).resolve().parents[3] / "deploy/config/invoices.toml", provider).decimal == "."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[other]\n", "has no table [maker]"),
        ("[maker]\nprice = 'x'\n", "price is unknown"),
        ("[maker]\namount = 3\n", "amount is unknown or no text"),
        ("[maker]\namount = ''\n", "are needed"),
        ("[maker]\ndecimal = 'x'\n", "decimal is 'x'"),
        ("[maker]\ndelimiter = ':'\n", "delimiter is ':'"),
        ("[maker]\nencoding = 'utf-16'\n", "encoding is 'utf-16'"),
        ("[maker]\nencoding = 'none'\n", "encoding is 'none'"),
        ("[maker", "is no TOML"),
    ],
)
def test_a_format_that_cannot_be_used_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "formats.toml").write_text(text)
    with pytest.raises(FormatError) as error:
        read_format(tmp_path / "formats.toml", "maker")
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "line 1: the names of the columns are missing"),
        (b"reference,price,currency\n", "line 1: there is no column 'amount' for the amount; there are 'reference',"),
        (b"reference,amount,amount,currency\n", "line 1: there are several columns 'amount'"),
        (b"reference,amount,currency\nt,0.1,USD\nu,x,USD\n", "line 3: 'x' is no amount"),
        (b"reference,amount,currency\nt,1.250,USD\n", "line 2: '1.250' can be read in two ways"),
        (b"reference,amount,currency\nt,1.0,EUR\n", "line 2: the currency is 'EUR', not USD"),
        (b"reference,amount,currency\nt,1.0\n", "line 2: has 2 columns; the first line has 3"),
        (b"reference,amount,currency\nt,1.0,USD,\n", "line 2: has 4 columns"),
        (b'reference,amount,currency\n"t,1.0,USD\n', "line 2: is no CSV"),
        (b'reference,amount,currency\n"t"x,1.0,USD\n', "line 2: is no CSV"),
        (b"reference,amount,currency\nt,1.0,USD\n\xff,1.0,USD\n", "line 3: byte 1 is no utf-8; save the file as UTF-8"),
        ("reference,amount,currency\n".encode("utf-16"), "line 1: the file is UTF-16"),
        ("reference,amount,currency\n".encode("utf-16-le"), "line 1: has a NUL byte"),
        (b"reference,amount,currency\n" + b"x" * (1 << 21), "line 2: an invoice has at most"),
    ],
)
def test_an_invoice_that_cannot_be_read_is_refused_with_the_number_of_the_line(data: bytes, expected: str) -> None:
    assert refusal(data).startswith(expected)


async def test_every_task_has_one_verdict_and_the_sums_are_exact() -> None:
    text = "reference,amount\ntask-1,0.25\njob2.1,0.500001\ntask-3,0.3\nunknown,9.99\n,5.00\ntask-5,0.2\ntask-5,-0.2\n"
    calls = [call(1, 250_000), call(2, 500_001), call(3, 250_000), call(4, 700_000), call(5, 0, state="released")]
    found = await compared(text, *calls, call(6, 0, state="released"))
    assert {verdict.value: each.tasks for verdict, each in found.tallies.items()} == {
        "matched": 3,
        "amount-differs": 1,
        "only-on-invoice": 2,
        "only-in-ledger": 1,
    }
    assert [(each.verdict, each.reference) for each in found.findings] == [
        (Verdict.AMOUNT_DIFFERS, "task-3"),
        (Verdict.ONLY_IN_LEDGER, "task-4"),
        (Verdict.ONLY_ON_INVOICE, "unknown"),
        (Verdict.ONLY_ON_INVOICE, ""),
    ]
    assert found.tallies[Verdict.MATCHED].charged == Decimal("0.750001")
    assert found.tallies[Verdict.ONLY_IN_LEDGER].expected == Decimal("0.7")
    assert found.differs and found.repeated == 1


async def test_a_task_that_is_charged_twice_differs() -> None:
    found = await compared("reference,amount\ntask-1,0.25\ntask-1,0.25\n", call(1, 250_000))
    [finding] = found.findings
    assert (finding.verdict, finding.charged, finding.expected) == (
        Verdict.AMOUNT_DIFFERS,
        Decimal("0.5"),
        Decimal("0.25"),
    )
    assert report.cells(finding)[4:9] == ("2", "2", "0.500000", "0.250000", "0.250000")


async def test_a_charge_for_a_task_that_costs_nothing_differs() -> None:
    found = await compared("reference,amount\ntask-1,0.25\n", call(1, 0, state="released"))
    assert [each.verdict for each in found.findings] == [Verdict.AMOUNT_DIFFERS]


async def test_a_task_at_the_edge_of_the_period_explains_a_line_and_is_not_missed_on_the_invoice() -> None:
    early, late = call(1, 250_000, time_s=99), call(2, 250_000, time_s=1000)
    assert not (await compared("reference,amount\ntask-1,0.25\n", early, late)).differs


async def test_a_difference_within_the_tolerance_is_none() -> None:
    text = "reference,amount\ntask-1,0.04\n"
    assert not (await compared(text, call(1, 37_500), tolerance="0.005")).differs
    assert (await compared(text, call(1, 37_500), tolerance="0.002")).differs


async def test_a_report_has_every_difference_and_no_cell_that_a_spreadsheet_computes() -> None:
    found = await compared("reference,amount\n=HYPERLINK(1),0.00000025\n@x,-3\n", call(4, 700_000))
    rows = list(csv.reader(io.StringIO(b"".join(report.as_csv(found)).decode())))
    assert rows[0] == list(report.HEAD)
    assert [row[1] for row in rows[1:]] == ["task-4", "'=HYPERLINK(1)", "'@x"]
    assert [row[8] for row in rows[1:]] == ["-0.700000", "0.00000025", "-3.000000"]
    *objects, totals = [json.loads(line) for line in report.as_json(found, "USD")]
    assert [each["reference"] for each in objects] == ["task-4", "=HYPERLINK(1)", "@x"]
    assert totals["totals"]["only-on-invoice"] == {"tasks": 2, "invoice": "-2.99999975", "ledger": "0.000000"}
    assert any("only-in-ledger" in line for line in report.text(found, "USD"))


async def test_people_see_the_first_differences_and_how_many_there_are() -> None:
    lines = "".join(f"t{number},1\n" for number in range(60))
    shown = report.text(await compared(f"reference,amount\n{lines}"), "USD")
    assert shown[-1] == "10 more: --csv or --json has all."
