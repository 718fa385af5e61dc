"""The metrics and labels that a PromQL query names."""

from collections.abc import Iterator
from typing import Any

import promql_parser as promql


def selectors(query: str) -> list[tuple[str, set[str]]]:
    """Returns each selected metric with the labels that it is matched by."""
    found = _selectors(promql.parse(query))
    return [(each.name, {matcher.name for matcher in each.matchers.matchers}) for each in found]


def grouped(query: str) -> list[tuple[set[str], set[str]]]:
    """Returns for each aggregation the labels that it keeps, and the metrics below it."""
    found = []
    for node in _nodes(promql.parse(query)):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            found.append((set(node.modifier.labels), {each.name for each in _selectors(node)}))
    return found


def _nodes(tree: promql.Expr) -> Iterator[Any]:
    seen: list[Any] = []
    promql.walk(tree, lambda node: seen.append(node))  # type: ignore[func-returns-value]
    yield from seen


def _selectors(tree: promql.Expr) -> Iterator[Any]:
    yield from (node for node in _nodes(tree) if isinstance(node, promql.VectorSelector))
