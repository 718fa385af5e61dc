"""Places the nodes of a layered graph in rows, so that few edges cross and long edges are almost straight.

The usual steps for such drawings: an edge over several rows gets a point in each row between; the rows are ordered by
the mean position of their neighbours; then each row moves towards its neighbours as far as its order allows.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import mean

Edge = tuple[str, str]
Point = tuple[int, str]
"""A row and a name: a node, or a point where a long edge passes that row."""

SWEEPS = 24
POINT_WIDTH = 10.0
GAP = 22.0


def layout(
    rows: Sequence[Sequence[str]], edges: Iterable[Edge], widths: Mapping[str, float]
) -> tuple[dict[str, float], dict[Edge, list[float]]]:
    """Returns the x of each node's centre, and for each edge between rows the x in every row from its start to its end.

    An edge must lead to a later row. Edges within a row have no influence; leave them out.
    """
    row_of = {name: number for number, row in enumerate(rows) for name in row}
    paths: dict[Edge, list[Point]] = {}
    order: list[list[Point]] = [[(number, name) for name in row] for number, row in enumerate(rows)]
    for edge in edges:
        start, end = (row_of[name] for name in edge)
        between = [(row, f"{edge[0]} {edge[1]}") for row in range(start + 1, end)]
        paths[edge] = [(start, edge[0]), *between, (end, edge[1])]
        for point in between:
            order[point[0]].append(point)
    links = [link for path in paths.values() for link in pairwise(path)]
    above: dict[Point, list[Point]] = {}
    below: dict[Point, list[Point]] = {}
    for upper, lower in links:
        above.setdefault(lower, []).append(upper)
        below.setdefault(upper, []).append(lower)
    order = _with_few_crossings(order, above, below)
    x = _positions(order, above, below, widths)
    return (
        {name: x[row, name] for name, row in row_of.items()},
        {edge: [x[point] for point in path] for edge, path in paths.items()},
    )


def _with_few_crossings(
    order: list[list[Point]], above: Mapping[Point, list[Point]], below: Mapping[Point, list[Point]]
) -> list[list[Point]]:
    best, fewest = order, _crossings(order, below)
    for sweep in range(SWEEPS):
        order = [list(row) for row in order]
        downwards = sweep % 2 == 0
        for number in range(len(order)) if downwards else reversed(range(len(order))):
            neighbours = above if downwards else below
            place = {point: index / len(row) for row in order for index, point in enumerate(row)}
            order[number].sort(key=lambda point: mean([place[each] for each in neighbours.get(point, [point])]))
        if (count := _crossings(order, below)) < fewest:
            best, fewest = order, count
    return best


def _crossings(order: list[list[Point]], below: Mapping[Point, list[Point]]) -> int:
    place = {point: index for row in order for index, point in enumerate(row)}
    count = 0
    for row in order:
        ends = [sorted(place[each] for each in below.get(point, [])) for point in row]
        for index, left in enumerate(ends):
            count += sum(one > other for right in ends[index + 1 :] for one in left for other in right)
    return count


def _positions(
    order: list[list[Point]],
    above: Mapping[Point, list[Point]],
    below: Mapping[Point, list[Point]],
    widths: Mapping[str, float],
) -> dict[Point, float]:
    offsets: dict[Point, float] = {}
    x: dict[Point, float] = {}
    for row in order:
        right = 0.0
        for point in row:
            width = widths.get(point[1], POINT_WIDTH)
            offsets[point] = right + width / 2
            right += width + GAP
        for point in row:
            x[point] = offsets[point] - right / 2
    for sweep in range(SWEEPS):
        for row in order if sweep % 2 == 0 else reversed(order):
            wished = [
                mean([x[each] for each in [*above.get(point, []), *below.get(point, [])]] or [x[point]])
                for point in row
            ]
            free = [wish - offsets[point] for wish, point in zip(wished, row, strict=True)]
            for point, shift in zip(row, _nearest_ascending(free), strict=True):
                x[point] = shift + offsets[point]
    left = min(x[point] - widths.get(point[1], POINT_WIDTH) / 2 for point in x)
    return {point: round(value - left, 1) for point, value in x.items()}


def _nearest_ascending(values: Sequence[float]) -> list[float]:
    """Returns the ascending values that are nearest to the given ones, by least squares."""
    groups: list[list[float]] = []
    for value in values:
        groups.append([value])
        while len(groups) > 1 and mean(groups[-2]) > mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    return [mean(group) for group in groups for _ in group]
