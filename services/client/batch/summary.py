"""The command line's output about a batch as a whole, as lines and as JSON. Prints nothing."""

import json
from collections.abc import Iterable, Mapping

from i2v.v1 import job_pb2

from services.client import limit_lines, money_format
from services.client.batch.item import State
from services.client.batch.journal import Totals
from services.client.batch.prices import Prices

SHOWN = 20
"""Problems that a run names; a dry run names all."""


def money(micros: Mapping[str, int]) -> str:
    """Returns `0.005000 USD`."""
    each = (job_pb2.Money(amount_micros=amount, currency_code=currency) for currency, amount in micros.items())
    return ", ".join(map(money_format.text, each)) or "0"


def ended(totals: Totals, made_now: int, seconds: float) -> str:
    """Returns what there is after a call."""
    parts = [f"{totals.of(State.DONE)} of {_all(totals)} videos are here, {made_now} of them made now"]
    if failed := totals.of(State.FAILED):
        parts.append(f"{failed} failed")
    if refused := totals.of(State.REFUSED) + totals.faults:
        parts.append(f"{refused} refused")
    if others := totals.of(State.PLANNED, State.INTENDED, State.SUBMITTED):
        parts.append(f"{others} missing")
    return f"{', '.join(parts)}. {money(totals.charged)} in all calls, {seconds:.1f} s."


def ended_json(totals: Totals, made_now: int, seconds: float) -> str:
    """Returns the same for a program."""
    found = {
        "videos": _all(totals),
        "made_now": made_now,
        **{state.value: totals.of(state) for state in State},
        "unusable_rows": totals.faults,
        "charged_micros": totals.charged,
        "seconds": round(seconds, 3),
    }
    return json.dumps({"summary": found})


def priced(found: Prices, totals: Totals) -> list[str]:
    """Returns what a batch would cost."""
    lines = [f"{found.videos} videos would be made for {money(found.micros)}."]
    if done := totals.of(State.DONE):
        lines.append(f"{done} are here already.")
    if found.free:
        lines.append(f"{found.free} are paid for, and would be fetched.")
    if found.refused:
        lines.append(f"{found.refused} would be refused.")
    currency = next(iter(found.micros), "")
    for each in found.exceeded:
        asked = limit_lines.amount(each.asked, each, currency)
        room = limit_lines.amount(max(each.left + each.asked, 0), each, currency)
        lines.append(
            f"The limit {each.subject} {each.measure} {each.per} has room for {room}, and {asked} are asked for."
        )
    return lines


def priced_json(found: Prices, totals: Totals) -> str:
    """Returns the same for a program."""
    said = {
        "videos": found.videos,
        "micros": found.micros,
        "done": totals.of(State.DONE),
        "paid_for": found.free,
        "refused": found.refused,
        "limits_exceeded": [f"{each.subject} {each.measure} {each.per}" for each in found.exceeded],
    }
    return json.dumps({"dry_run": said})


def some(problems: Iterable[tuple[int, str]]) -> list[str]:
    """Returns a line for each of the first problems, and how many more there are."""
    lines: list[str] = []
    more = 0
    for row, why in problems:
        if len(lines) < SHOWN:
            lines.append(problem(row, why))
        else:
            more += 1
    return [*lines, f"… and {more} more; --dry-run names all."] if more else lines


def problem(row: int, why: str) -> str:
    """Returns `row 3: …`; rows count from 1."""
    return f"row {row + 1}: {why}"


def _all(totals: Totals) -> int:
    return sum(totals.states.values()) + totals.faults
