"""Sums of the ledger by one or two dimensions, as one statement each."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from services.orchestrator.domain.ledger import Kind
from services.orchestrator.domain.usage import Dimension, Sums, UsageGroup, UsageQuery
from services.orchestrator.store.schema import ledger_entries

SUMS = (
    sa.func.coalesce(sa.func.sum(ledger_entries.c.reserved_micros), 0).label("reserved_micros"),
    sa.func.coalesce(sa.func.sum(ledger_entries.c.spent_micros), 0).label("spent_micros"),
    sa.func.coalesce(sa.func.sum(ledger_entries.c.credit_micros), 0).label("credit_micros"),
    sa.func.coalesce(sa.func.sum(ledger_entries.c.jobs), 0).label("jobs"),
    sa.func.count().filter(ledger_entries.c.kind == Kind.RESERVE.value).label("admitted_jobs"),
    sa.func.coalesce(sa.func.sum(ledger_entries.c.video_ms), 0).label("video_ms"),
    sa.func.count().label("entries"),
)


def total(query: UsageQuery) -> sa.Select[Any]:
    """Returns the statement for the sums of all entries."""
    return _where(query, sa.select(*SUMS))


def groups(query: UsageQuery, after: Sequence[str] | None, limit: int) -> sa.Select[Any]:
    """Returns the statement for a page of groups, in the order of their values."""
    values = [_value(dimension, query.time_zone).label(f"value_{number}") for number, dimension in enumerate(query.by)]
    statement = _where(query, sa.select(*values, *SUMS))
    if after is not None:
        bound = [_value(dimension, query.time_zone) for dimension in query.by]
        statement = statement.where(sa.tuple_(*bound) > sa.tuple_(*(sa.literal(each) for each in after)))
    places: list[sa.ColumnElement[int]] = [sa.literal_column(str(number + 1)) for number in range(len(values))]
    return statement.group_by(*places).order_by(*places).limit(limit)


def group(row: sa.Row[Any], query: UsageQuery) -> UsageGroup:
    """Returns the group of a row."""
    return UsageGroup(tuple(str(row[number]) for number in range(len(query.by))), sums(row))


def sums(row: sa.Row[Any]) -> Sums:
    """Returns the sums of a row."""
    return Sums(
        int(row.reserved_micros),
        int(row.spent_micros),
        int(row.credit_micros),
        int(row.jobs),
        row.admitted_jobs,
        int(row.video_ms),
        row.entries,
    )


def _where(query: UsageQuery, statement: sa.Select[Any]) -> sa.Select[Any]:
    table = ledger_entries.c
    statement = statement.where(
        table.tenant == query.owner.tenant, table.period_time >= query.start, table.period_time < query.end
    )
    return statement if query.owner.user is None else statement.where(table.user == query.owner.user)


def _value(dimension: Dimension, time_zone: str) -> sa.ColumnElement[str]:
    if dimension is Dimension.DAY:
        return sa.func.to_char(sa.func.timezone(time_zone, ledger_entries.c.period_time), "YYYY-MM-DD")
    return ledger_entries.c[dimension.value]
