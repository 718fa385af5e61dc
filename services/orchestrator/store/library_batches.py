"""Statements that select and change several entries of the library at once."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Select, Update
from sqlalchemy.dialects.postgresql import ARRAY

from services.orchestrator.domain.library_batch import SELECTED_MOST, BatchChange, Selection
from services.orchestrator.store.library_conditions import condition
from services.orchestrator.store.schema import library_entries

table = library_entries.c


def selected(which: Selection, change: BatchChange) -> Select[Any]:
    """Returns the statement that locks the entries: `id`, `sha256`, number of `tags` then, whether it `changes`.

    It has one row more than may be changed, so that too many are noticed.
    """
    tags = _tags(change)
    query = sa.select(
        table.id,
        table.sha256,
        sa.func.cardinality(tags).label("tags"),
        _changes(change).label("changes"),
    )
    return query.where(*_where(which)).order_by(table.id).limit(SELECTED_MOST + 1).with_for_update()


def names(which: Selection) -> Select[Any]:
    """Returns the statement for the SHA-256 of the entries, one more than may be changed."""
    return sa.select(table.sha256).where(*_where(which)).order_by(table.id).limit(SELECTED_MOST + 1)


def update(ids: list[int], change: BatchChange) -> Update:
    """Returns the statement that changes entries."""
    values = dict(_values(change)) | {"revision": table.revision + 1, "update_time": sa.func.clock_timestamp()}
    return sa.update(library_entries).where(table.id.in_(ids)).values(values)


def _where(which: Selection) -> list[ColumnElement[bool]]:
    if which.filter is None:
        chosen: ColumnElement[bool] = table.sha256.in_(which.names)
    else:
        chosen = condition(which.filter, which.tenant, which.user)
    return [table.tenant == which.tenant, table.user == which.user, table.delete_time.is_(None), chosen]


def _values(change: BatchChange) -> dict[str, Any]:
    """Returns the new values by column."""
    given = {"favorite": change.favorite, "rating": change.rating, "source_module": change.source_module}
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return values | ({"tags": _tags(change)} if change.add_tags or change.remove_tags else {})


def _changes(change: BatchChange) -> ColumnElement[bool]:
    return sa.or_(*(library_entries.c[name].is_distinct_from(value) for name, value in _values(change).items()))


def _tags(change: BatchChange) -> ColumnElement[Any]:
    """Returns the tags afterwards: each once, in the order in which they were added."""
    added, removed = _texts(change.add_tags), _texts(change.remove_tags)
    each = sa.func.unnest(table.tags + added).table_valued("tag", with_ordinality="place").render_derived()
    kept = sa.select(each.c.tag).where(each.c.tag != sa.all_(removed)).group_by(each.c.tag)
    return sa.func.array(kept.order_by(sa.func.min(each.c.place)).scalar_subquery(), type_=ARRAY(sa.Text))


def _texts(values: Any) -> ColumnElement[Any]:
    return sa.cast(sa.literal(list(values), ARRAY(sa.Text)), ARRAY(sa.Text))
