"""The statement for statistics of the library: it reads the entries once, and groups them in three ways."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row, Select

from services.orchestrator.domain.library_list import LibraryList
from services.orchestrator.domain.library_statistics import MODULES_MOST, LibraryGroup, LibraryStatistics
from services.orchestrator.store.library_pages import conditions
from services.orchestrator.store.schema import library_entries

table = library_entries.c

# Literals: as parameters they would differ between the list of columns and the groups.
MONTH = sa.func.to_char(
    sa.func.timezone(sa.literal_column("'UTC'"), table.create_time), sa.literal_column("'YYYY-MM'"), type_=sa.Text
)
TYPES, MODULES, MONTHS = 0b011, 0b101, 0b110
"""Values of `grouping`: the bits of the columns that a row is not grouped by."""


def groups(which: LibraryList) -> Select[Any]:
    """Returns the statement for all groups, each with `ways`, the way in which it is grouped."""
    ways = sa.func.grouping(table.kind, table.source_module, MONTH)
    assets = sa.func.count()
    rank = sa.func.row_number().over(partition_by=ways, order_by=(assets.desc(), table.source_module))
    inner = (
        sa.select(
            ways.label("ways"),
            sa.func.coalesce(table.kind, table.source_module, MONTH).label("name"),
            assets.label("assets"),
            sa.cast(sa.func.sum(table.size_bytes), sa.BigInteger).label("size_bytes"),
            sa.cast(sa.func.sum(table.cost_micros), sa.BigInteger).label("cost_micros"),
            rank.label("rank"),
        )
        .where(*conditions(which))
        .group_by(sa.func.grouping_sets(table.kind, table.source_module, MONTH))
        .subquery()
    )
    return sa.select(inner).where(sa.or_(inner.c.ways != MODULES, inner.c.rank <= MODULES_MOST))


def statistics(rows: Iterable[Row[Any]]) -> LibraryStatistics:
    """Returns the statistics of the statement's rows."""
    found: dict[int, list[LibraryGroup]] = {TYPES: [], MODULES: [], MONTHS: []}
    for row in rows:
        found[row.ways].append(LibraryGroup(row.name, row.assets, row.size_bytes, row.cost_micros))
    most_first = {way: sorted(each, key=lambda group: (-group.assets, group.name)) for way, each in found.items()}
    newest_first = sorted(found[MONTHS], key=lambda group: group.name, reverse=True)
    return LibraryStatistics(most_first[TYPES], most_first[MODULES], newest_first)
