"""Compares an invoice with our own records of submissions: what is on one and not on the other."""

from collections.abc import AsyncIterable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from i2v.admin.v1 import cost_pb2

from services.client.invoices.invoice_reader import InvoiceError, InvoiceLine


class Verdict(StrEnum):
    """What was found about one task."""

    MATCHED = "matched"
    AMOUNT_DIFFERS = "amount-differs"
    ONLY_ON_INVOICE = "only-on-invoice"
    """The vendor charges for something that we do not know."""
    ONLY_IN_LEDGER = "only-in-ledger"
    """We expect a charge that the invoice does not have, or not yet."""


@dataclass(slots=True)
class Billed:
    """What an invoice says of one task, all of its lines together."""

    line: int
    """The first one."""
    amount: Decimal
    lines: int = 1
    time: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One task that differs, or that matches."""

    verdict: Verdict
    reference: str
    billed: Billed | None
    """None: it is not on the invoice."""
    call: cost_pb2.VendorCall | None
    """None: it is not in our records."""

    @property
    def expected(self) -> Decimal:
        """What we owe by our records."""
        return Decimal(self.call.cost.amount_micros).scaleb(-6) if self.call is not None else Decimal()

    @property
    def charged(self) -> Decimal:
        """What the invoice charges."""
        return self.billed.amount if self.billed is not None else Decimal()


@dataclass(slots=True)
class Tally:
    """How many tasks have a verdict, and their sums."""

    tasks: int = 0
    charged: Decimal = Decimal()
    expected: Decimal = Decimal()


@dataclass(slots=True)
class Comparison:
    """The result: every difference, and the sums of all."""

    findings: list[Finding] = field(default_factory=list)
    """All but the matches."""
    tallies: dict[Verdict, Tally] = field(default_factory=lambda: {each: Tally() for each in Verdict})
    repeated: int = 0
    """Tasks that have several lines."""

    def add(self, finding: Finding) -> None:
        """Counts a finding, and keeps it unless it is a match."""
        tally = self.tallies[finding.verdict]
        tally.tasks += 1
        tally.charged += finding.charged
        tally.expected += finding.expected
        if finding.verdict is not Verdict.MATCHED:
            self.findings.append(finding)

    @property
    def differs(self) -> bool:
        """Whether anything but matches was found."""
        return bool(self.findings)


def billed(lines: Iterable[InvoiceLine]) -> tuple[dict[str, Billed], list[Billed]]:
    """Returns what an invoice charges by task, and what it charges for no task."""
    tasks: dict[str, Billed] = {}
    others: list[Billed] = []
    for line in lines:
        found = tasks.get(line.reference)
        if found is not None:
            found.amount += line.amount
            found.lines += 1
            continue
        entry = Billed(line.number, line.amount, 1, line.time, line.model)
        if line.reference:
            tasks[line.reference] = entry
        else:
            others.append(entry)
    return tasks, others


async def compare(
    lines: Iterable[InvoiceLine],
    calls: AsyncIterable[cost_pb2.VendorCall],
    *,
    since: float,
    until: float,
    currency: str,
    tolerance: Decimal = Decimal(),
) -> Comparison:
    """Compares an invoice with submissions.

    Submissions before `since` or not before `until`, in seconds since 1970, only explain lines of the invoice: vendors
    may book a task on another day than we do. `currency` is that of the invoice. Raises InvoiceError, also if our
    records have another currency, and what the streams raise.
    """
    tasks, others = billed(lines)
    result = Comparison(repeated=sum(each.lines > 1 for each in tasks.values()))
    async for call in calls:
        ours = call.cost.currency_code
        if ours != currency.upper():
            raise InvoiceError(1, f"the invoice is in {currency.upper()}, and our records are in {ours}")
        name = next((each for each in (call.external_ref, call.submission_id) if each in tasks), "")
        found = tasks.pop(name) if name else None
        if found is None:
            if call.cost.amount_micros and since <= call.submit_time.seconds < until:
                result.add(Finding(Verdict.ONLY_IN_LEDGER, call.external_ref or call.submission_id, None, call))
            continue
        finding = Finding(Verdict.MATCHED, name, found, call)
        if abs(finding.charged - finding.expected) > tolerance:
            finding = Finding(Verdict.AMOUNT_DIFFERS, name, found, call)
        result.add(finding)
    for finding in _unknown(tasks, others):
        result.add(finding)
    return result


def _unknown(tasks: dict[str, Billed], others: list[Billed]) -> Iterator[Finding]:
    """Yields what is on the invoice alone, in the order of its lines. A charge that was given back is nothing."""
    left = sorted([*tasks.items(), *(("", each) for each in others)], key=lambda item: item[1].line)
    for name, each in left:
        if each.amount or each.lines == 1:
            yield Finding(Verdict.ONLY_ON_INVOICE, name, each, None)
