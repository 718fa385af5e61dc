"""Statements for the pages of the library: each reads from an index, however far into the list its page is."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Select
from sqlalchemy.dialects.postgresql import TSQUERY

from services.orchestrator.domain.library_filter.tree import And, Condition, Node
from services.orchestrator.domain.library_list import TITLE_SORTED, LibraryList, OrderKey, Place
from services.orchestrator.store.library_conditions import condition
from services.orchestrator.store.schema import library_entries, library_tags

table = library_entries.c
tagged = library_tags.c


def page(which: LibraryList, after: Place | None, limit: int) -> Select[Any]:
    """Returns the statement for the next entries, each with the `place` of the page after it."""
    tag, rest = _tag_apart(which.filter) if which.order.key is OrderKey.CREATE_TIME else (None, which.filter)
    key, id = _key(which), table.id
    query = sa.select(library_entries, sa.cast(key, sa.Text).label("place")).where(
        *conditions(replace(which, filter=rest))
    )
    if tag is not None:
        # Its list has the order of the page. Without it all entries with the tag are sorted, or the whole library is
        # searched for them.
        key, id = tagged.create_time, tagged.entry
        query = query.where(
            tagged.tenant == which.tenant, tagged.user == which.user, tagged.tag == tag, tagged.entry == table.id
        )
    if after is not None:
        here = sa.tuple_(sa.cast(sa.literal(after.value, sa.Text), key.type), sa.literal(after.id, sa.BigInteger))
        place = sa.tuple_(key, id)
        query = query.where(place < here if which.order.descending else place > here)
    order = (key.desc(), id.desc()) if which.order.descending else (key, id)
    return query.order_by(*order).limit(limit)


def _tag_apart(node: Node | None) -> tuple[str | None, Node | None]:
    """Returns a tag that all entries of a filter have, None without one, and the rest of the filter."""
    match node:
        case Condition(field="tags", operator=":" | "="):
            return str(node.value), None
        case And(parts):
            for index, part in enumerate(parts):
                tag, rest = _tag_apart(part)
                if tag is not None:
                    return tag, And((*parts[:index], *((rest,) if rest else ()), *parts[index + 1 :]))
    return None, node


def conditions(which: LibraryList) -> list[ColumnElement[bool]]:
    """Returns what the entries of a list have in common."""
    found = [table.tenant == which.tenant, table.user == which.user]
    if not which.deleted:
        found.append(table.delete_time.is_(None))
    if which.filter is not None:
        found.append(condition(which.filter, which.tenant, which.user))
    if which.words:
        # Two searches of one index: joined to one query, words without a letter would find everything.
        mine = sa.cast(sa.literal(_quoted(f" {which.tenant} {which.user}")), TSQUERY)
        found += [table.words.op("@@", is_comparison=True)(query) for query in (mine, _searched(which))]
    if which.similar_to is not None:
        differing = table.phash.op("#")(sa.literal(which.similar_to, sa.BigInteger))
        bits = sa.func.bit_count(sa.cast(differing, sa.dialects.postgresql.BIT(64)))
        found.append(bits <= which.distance_most)
    return found


def _key(which: LibraryList) -> ColumnElement[Any]:
    match which.order.key:
        case OrderKey.CREATE_TIME:
            return table.create_time
        case OrderKey.UPDATE_TIME:
            return table.update_time
        case OrderKey.COST:
            return table.cost_micros
        case OrderKey.SIZE:
            return table.size_bytes
        case OrderKey.TITLE:
            # Written as in the index, which a parameter would not match.
            return sa.func.lower(sa.func.left(table.title, sa.literal_column(str(TITLE_SORTED))), type_=sa.Text)
        case OrderKey.RELEVANCE:
            return sa.func.ts_rank(table.words, _searched(which), type_=sa.REAL)


def _quoted(lexeme: str) -> str:
    """Returns a word as a `tsquery` spells it, with any characters."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"


def _searched(which: LibraryList) -> ColumnElement[Any]:
    return sa.func.websearch_to_tsquery(sa.literal_column("'simple'"), which.words)
