"""A trace as text: each span below its parent, those of the same process, kind and name once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol


class TraceSpan(Protocol):
    """What is needed of a span."""

    service: str
    span_id: str
    parent: str
    name: str
    kind: str


def tree(spans: Iterable[TraceSpan], without: Sequence[str] = ()) -> str:
    """Returns a line for each span, two spaces deeper than its parent. `without`: spans whose names begin so."""
    every = [span for span in spans if not span.name.startswith(tuple(without))]
    children: dict[str, list[TraceSpan]] = defaultdict(list)
    known = {span.span_id for span in every}
    for span in every:
        children[span.parent if span.parent in known else ""].append(span)

    def lines(of: Sequence[TraceSpan], depth: int) -> Iterable[str]:
        merged: dict[str, list[TraceSpan]] = defaultdict(list)
        for span in of:
            merged[f"{span.service} {span.kind} {span.name}"].extend(children[span.span_id])
        for name in sorted(merged):
            yield "  " * depth + name
            yield from lines(merged[name], depth + 1)

    return "\n".join(lines(children[""], 0))
