"""Draws docs/import-graph.svg: which package imports which, read from the code.

`python -m tools.import_graph` writes the picture; `--check` only compares. The rows are the layers of the import
contract in pyproject.toml. An arrow that follows from other arrows is left out: api → attempt follows from api → worker
and worker → attempt. The tooltip of a box lists all its imports.
"""

import argparse
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

from tools.layered_layout import Edge, layout

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "docs" / "import-graph.svg"

CORE = "services.orchestrator"
CONTRACT = "The orchestrator points one way"
SHARED = ("services.errors", "services.process", "services.reasons", "services.settings")
"""Modules of all processes that are drawn. Smaller ones are left out."""

ROW, BOX, MARGIN, HEAD, CHARACTER = 74, 36, 24, 34, 7.4
"""Sizes in pixels: the distance of rows, the height of a box, the margin, the height of a heading, a character."""

STYLE = """
.page { fill: #ffffff; }
text { font: 13px system-ui, sans-serif; fill: #1f2937; text-anchor: middle; }
.heading { font-weight: 600; text-anchor: start; }
.note { fill: #4b5563; font-size: 12px; text-anchor: start; }
rect.package { fill: #dbeafe; stroke: #1d4ed8; }
rect.file { fill: #f3f4f6; stroke: #6b7280; }
path { fill: none; stroke: #475569; stroke-width: 1.2; marker-end: url(#arrow); }
"""


def imports_between(graph: grimp.ImportGraph, names: Sequence[str]) -> set[Edge]:
    """Returns which of these packages and modules imports which, directly."""
    return {
        (one, other)
        for one in names
        for other in names
        if one != other and graph.direct_import_exists(importer=one, imported=other, as_packages=True)
    }


def reduced(edges: set[Edge]) -> set[Edge]:
    """Returns the edges that do not follow from others.

    Raises:
        ValueError: there is a cycle.
    """
    direct: dict[str, set[str]] = {}
    for one, other in edges:
        direct.setdefault(one, set()).add(other)
    reached: dict[str, set[str]] = {}

    def reach(name: str, path: tuple[str, ...]) -> set[str]:
        if name in path:
            raise ValueError(f"imports form a cycle: {' → '.join((*path, name))}")
        if name not in reached:
            following = [reach(each, (*path, name)) for each in sorted(direct.get(name, ()))]
            reached[name] = direct.get(name, set()).union(*following)
        return reached[name]

    for name in sorted(direct):
        reach(name, ())
    return {(one, other) for one, other in edges if not any(other in reached[each] for each in direct[one])}


def rows_by_height(names: Sequence[str], edges: set[Edge]) -> list[list[str]]:
    """Returns the names in rows, each row above its imports. The edges must be without a cycle."""
    height: dict[str, int] = {}
    while len(height) < len(names):
        for name in names:
            below = [other for one, other in edges if one == name]
            if name not in height and all(each in height for each in below):
                height[name] = 1 + max((height[each] for each in below), default=0)
    return [[name for name in names if height[name] == row] for row in range(max(height.values()), 0, -1)]


def rows_of_services(graph: grimp.ImportGraph) -> list[list[str]]:
    """Returns the packages of services and the larger shared modules, each row above its imports."""
    children = sorted(graph.find_children("services"))
    names = [name for name in children if graph.find_children(name) or name in SHARED]
    return rows_by_height(names, reduced(imports_between(graph, names)))


def rows_of_core(contracts: Sequence[Mapping[str, object]]) -> list[list[str]]:
    """Returns the layers of the orchestrator's contract, without what all processes share."""
    layers = next(contract["layers"] for contract in contracts if contract["name"] == CONTRACT)
    assert isinstance(layers, list)
    rows = [[name.strip() for name in str(layer).replace(":", "|").split("|")] for layer in layers]
    inside = [[name for name in row if name.startswith(f"{CORE}.")] for row in rows]
    return [row for row in inside if row]


class Panel:
    """One drawing: rows of boxes and the arrows between them."""

    def __init__(self, graph: grimp.ImportGraph, heading: str, rows: Sequence[Sequence[str]]) -> None:
        self._heading = heading
        self._rows = rows
        names = [name for row in rows for name in row]
        self._imports = imports_between(graph, names)
        self._packages = {name for name in names if graph.find_children(name)}
        self._row_of = {name: number for number, row in enumerate(rows) for name in row}
        self._widths = {name: CHARACTER * len(_label(name)) + 24 for name in names}
        arrows = sorted(reduced(self._imports))
        self._level = [edge for edge in arrows if self._row_of[edge[0]] == self._row_of[edge[1]]]
        down = [edge for edge in arrows if self._row_of[edge[0]] < self._row_of[edge[1]]]
        if wrong := set(arrows) - set(self._level) - set(down):
            raise ValueError(f"imports against the layers: {sorted(wrong)}")
        self._x, self._paths = layout(rows, down, self._widths)
        self.width = max(self._x[name] + self._widths[name] / 2 for name in names)
        self.width = max(self.width, *(max(path) for path in self._paths.values()))
        self.height = HEAD + (len(rows) - 1) * ROW + BOX

    def svg(self, left: float, top: float) -> Iterator[str]:
        """Yields the elements, moved to a place."""
        yield f'<g transform="translate({left:g} {top:g})">'
        yield f'<text class="heading" x="0" y="14">{escape(self._heading)}</text>'
        for edge, xs in self._paths.items():
            yield f'<path d="{self._line(edge, xs)}"/>'
        for one, other in self._level:
            y = HEAD + self._row_of[one] * ROW + BOX / 2
            sign = 1 if self._x[one] < self._x[other] else -1
            start, end = (
                self._x[name] + side * sign * self._widths[name] / 2 for name, side in ((one, 1), (other, -1))
            )
            yield f'<path d="M{start:.1f} {y:g}L{end - 2 * sign:.1f} {y:g}"/>'
        for name, row in self._row_of.items():
            yield from self._box(name, HEAD + row * ROW)
        yield "</g>"

    def _line(self, edge: Edge, xs: Sequence[float]) -> str:
        """A curve through the rows: straight down past a row's boxes, bent between two rows."""
        top = HEAD + self._row_of[edge[0]] * ROW
        d = f"M{xs[0]:g} {top + BOX}"
        for number, (x, following) in enumerate(pairwise(xs)):
            start, end = top + number * ROW + BOX, top + (number + 1) * ROW
            middle = (start + end) / 2
            last = number == len(xs) - 2
            d += f"C{x:g} {middle:g} {following:g} {middle:g} {following:g} {end - 2 if last else end:g}"
            d += "" if last else f"V{end + BOX:g}"
        return d

    def _box(self, name: str, y: float) -> Iterator[str]:
        width = self._widths[name]
        imported = ", ".join(sorted(_label(other) for one, other in self._imports if one == name)) or "none of these"
        yield f"<g><title>{escape(f'{name} imports {imported}')}</title>"
        kind = "package" if name in self._packages else "file"
        yield (
            f'<rect class="{kind}" x="{self._x[name] - width / 2:.1f}" y="{y:g}" '
            f'width="{width:.1f}" height="{BOX}" rx="5"/>'
        )
        yield f'<text x="{self._x[name]:g}" y="{y + 23:g}">{escape(_label(name))}</text></g>'


def _label(name: str) -> str:
    return name.removeprefix(CORE + ".").removeprefix("services.")


def picture() -> str:
    """Returns the SVG of the code as it is."""
    graph = grimp.build_graph("services", cache_dir=None)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    panels = [
        Panel(graph, "services: the processes, and what they share", rows_of_services(graph)),
        Panel(graph, "services.orchestrator: its layers", rows_of_core(contracts)),
    ]
    width = round(max(panel.width for panel in panels)) + 2 * MARGIN
    height = sum(panel.height + 2 * MARGIN for panel in panels) + MARGIN
    body: list[str] = []
    top = MARGIN
    for panel in panels:
        body += panel.svg(MARGIN, top)
        top += panel.height + 2 * MARGIN
    note = "A → B: A imports B. Arrows that follow from others are left out. Blue: a package; grey: one file."
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
            "<title>Which package imports which</title>",
            f"<style>{STYLE}</style>",
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7"',
            'orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#475569;stroke:none;marker-end:none"/></marker></defs>',
            f'<rect class="page" width="{width}" height="{height}" rx="8"/>',
            *body,
            f'<text class="note" x="{MARGIN}" y="{height - MARGIN / 2:g}">{note}</text>',
            "</svg>\n",
        )
    )


def main() -> int:
    """Returns the exit code: 1 when the picture does not show the code."""
    parser = argparse.ArgumentParser(prog="python -m tools.import_graph", description="Draws docs/import-graph.svg.")
    parser.add_argument("--check", action="store_true", help="only compare the file with the code")
    if not parser.parse_args().check:
        FILE.write_text(picture())
        return 0
    if FILE.read_text() == picture():
        return 0
    print("docs/import-graph.svg is not of this code: python -m tools.import_graph", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
