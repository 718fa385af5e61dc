"""What a comparison found, for people, for programs and for spreadsheets."""

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal

from services.client import formatting, spreadsheet_csv
from services.client.invoices.comparison import Comparison, Finding, Verdict

SHOWN = 50
"""Differences that are printed; CSV and JSON have all."""
MEANING = {
    Verdict.MATCHED: "The invoice charges what we expect.",
    Verdict.AMOUNT_DIFFERS: "Both have it, with different amounts.",
    Verdict.ONLY_ON_INVOICE: "The invoice charges it, and we do not know it.",
    Verdict.ONLY_IN_LEDGER: "We expect a charge that the invoice does not have, or not yet.",
}
HEAD = ("verdict", "reference", "job", "tenant", "line", "lines", "invoice", "ledger", "difference", "model", "time")


def text(found: Comparison, currency: str) -> list[str]:
    """Returns lines for people."""
    rows = [
        (verdict, str(each.tasks), _money(each.charged), _money(each.expected), MEANING[verdict])
        for verdict, each in found.tallies.items()
    ]
    shown = [("VERDICT", "TASKS", f"INVOICE {currency}", f"LEDGER {currency}", "MEANING"), *rows]
    lines = formatting.columns(shown)
    if found.repeated:
        lines.append(f"{found.repeated} tasks have several lines on the invoice; their amounts were added.")
    if found.findings:
        head = [tuple(name.upper() for name in HEAD)]
        lines += ["", *formatting.columns([*head, *map(cells, found.findings[:SHOWN])])]
        if len(found.findings) > SHOWN:
            lines.append(f"{len(found.findings) - SHOWN:,} more: --csv or --json has all.")
    return lines


def as_json(found: Comparison, currency: str) -> Iterator[str]:
    """Yields an object for each difference, then one with the sums."""
    for finding in found.findings:
        yield json.dumps(dict(zip(HEAD, cells(finding), strict=True)), ensure_ascii=False)
    sums = {
        verdict.value: {"tasks": each.tasks, "invoice": _money(each.charged), "ledger": _money(each.expected)}
        for verdict, each in found.tallies.items()
    }
    yield json.dumps({"totals": sums, "currency": currency, "repeated": found.repeated, "differs": found.differs})


def as_csv(found: Comparison) -> Iterator[bytes]:
    """Yields the lines of a file with all differences."""
    yield spreadsheet_csv.lines([HEAD])
    for finding in found.findings:
        yield spreadsheet_csv.lines([[_cell(name, cell) for name, cell in zip(HEAD, cells(finding), strict=True)]])


def cells(of: Finding) -> Sequence[str]:
    """Returns what is written of a difference."""
    call, billed = of.call, of.billed
    time = formatting.moment(call.submit_time) if call is not None else billed.time if billed is not None else ""
    model = call.model if call is not None else billed.model if billed is not None else ""
    return (
        of.verdict.value,
        of.reference,
        call.job if call is not None else "",
        call.tenant.removeprefix("tenants/") if call is not None else "",
        str(billed.line) if billed is not None else "",
        str(billed.lines) if billed is not None else "",
        _money(of.charged) if billed is not None else "",
        _money(of.expected) if call is not None else "",
        _money(of.charged - of.expected),
        model,
        time,
    )


def _cell(name: str, cell: str) -> str:
    """Returns a cell for a spreadsheet. A number stays one, though it begins with a minus."""
    return cell if name in ("invoice", "ledger", "difference") else spreadsheet_csv.text(cell)


def _money(amount: Decimal) -> str:
    """Returns at least six decimal places, and more if the invoice has more."""
    shown = f"{amount.normalize():f}"
    _, _, part = shown.partition(".")
    return shown if len(part) > 6 else f"{amount:.6f}"
