"""Filters of the library as conditions of SQLAlchemy: every value is a parameter of its statement."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.dialects.postgresql import ARRAY, array

from services.orchestrator.domain.library_filter.tree import And, Condition, Node, Not, Or
from services.orchestrator.store.schema import collection_members, collections, library_entries

table = library_entries.c

COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "type": table.kind,
    "source_module": table.source_module,
    "favorite": table.favorite,
    "rating": table.rating,
    "model": table.model,
    "operation": table.operation,
    "seed": table.seed,
    "size_bytes": table.size_bytes,
    "duration": table.duration_ms,
    "cost": table.cost_micros,
    "create_time": table.create_time,
    "update_time": table.update_time,
}
OPERATORS: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def condition(node: Node, tenant: str, user: str) -> ColumnElement[bool]:
    """Returns a filter of a user's entries as a condition. It is never NULL, so that NOT means all others."""
    match node:
        case And(parts):
            return sa.and_(*(condition(part, tenant, user) for part in parts))
        case Or(parts):
            return sa.or_(*(condition(part, tenant, user) for part in parts))
        case Not(part):
            return sa.not_(condition(part, tenant, user))
        case Condition(field="collection"):
            member = _in_collection(str(node.value).removeprefix("collections/"), tenant, user)
            return sa.not_(member) if node.operator == "!=" else member
        case Condition():
            return _compared(node, tenant, user)


def _compared(node: Condition, tenant: str, user: str) -> ColumnElement[bool]:
    if node.field == "tags":
        tags = array([sa.cast(node.value, sa.Text)])
        if node.operator == "!=":
            return sa.not_(table.tags.contains(tags))
        # As in the index, which has the owner in each tag: of tags alone the entries of all users would be read.
        return _owned(table.tenant, table.user, table.tags).contains(_owned(sa.literal(tenant), sa.literal(user), tags))
    if node.field == "job":
        same = sa.func.coalesce(table.job_id == str(node.value).removeprefix("jobs/"), sa.false())
        return sa.not_(same) if node.operator == "!=" else same
    column = COLUMNS[node.field]
    compared = OPERATORS[node.operator](column, sa.literal(node.value, column.type))
    if column.nullable:
        return sa.func.coalesce(compared, sa.literal(node.operator == "!="))
    return compared


def _in_collection(id: str, tenant: str, user: str) -> ColumnElement[bool]:
    """Returns whether an entry is in a collection of its user."""
    mine = (collections.c.tenant == tenant, collections.c.user == user, collections.c.id == id)
    member = sa.select(collection_members.c.entry).where(collection_members.c.collection == collections.c.number, *mine)
    # An array, which is read once: by a join a small collection would be searched in the whole library.
    return table.id == sa.any_(sa.func.array(member.scalar_subquery()))


def _owned(tenant: ColumnElement[str], user: ColumnElement[str], tags: ColumnElement[Any]) -> ColumnElement[Any]:
    return sa.func.owned_tags(tenant, user, tags, type_=ARRAY(sa.Text))
