"""Draws one trace as a picture: a row for each span, a colour for each process, the time from left to right.

`python -m tools.draw_trace SPANS.json docs/trace.png` draws what `tests/integration/monitoring/test_one_trace.py`
writes to the file that the variable I2V_TEST_TRACE_FILE names.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

COLOURS = ("#1d4ed8", "#b45309", "#047857", "#7c3aed", "#be123c", "#0f766e")
LEFT_OUT = "postgresql"
"""Statements of the database are many, and their rows alike."""


@dataclass(frozen=True)
class Bar:
    """A span of the picture."""

    service: str
    span_id: str
    parent: str
    name: str
    start_ns: int
    end_ns: int


def bars(spans: Sequence[dict[str, Any]]) -> list[Bar]:
    """Returns the spans that are drawn."""
    names = [each.name for each in fields(Bar)]
    return [Bar(**{name: span[name] for name in names}) for span in spans if not span["name"].startswith(LEFT_OUT)]


def rows(every: Sequence[Bar]) -> list[tuple[int, Bar]]:
    """Returns the spans with their depths, each below its parent, those of one parent by time."""
    known, children = {bar.span_id for bar in every}, defaultdict[str, list[Bar]](list)
    for bar in sorted(every, key=lambda bar: bar.start_ns):
        children[bar.parent if bar.parent in known else ""].append(bar)

    def below(parent: str, depth: int) -> Iterator[tuple[int, Bar]]:
        for bar in children[parent]:
            yield depth, bar
            yield from below(bar.span_id, depth + 1)

    return list(below("", 0))


def draw(every: Sequence[Bar], file: Path) -> None:
    """Writes the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    lines = rows(every)
    start = min(bar.start_ns for bar in every)
    whole_ms = (max(bar.end_ns for bar in every) - start) / 1e6
    colours = dict(zip(dict.fromkeys(bar.service for _, bar in lines), COLOURS, strict=False))
    figure, axes = pyplot.subplots(figsize=(12, 0.27 * len(lines) + 1.3))
    for row, (depth, bar) in enumerate(lines):
        begin, took = (bar.start_ns - start) / 1e6, (bar.end_ns - bar.start_ns) / 1e6
        axes.barh(row, max(took, whole_ms / 400), left=begin, height=0.7, color=colours[bar.service])
        axes.text(-whole_ms * 0.6 + depth * whole_ms * 0.015, row, bar.name, va="center", fontsize=7.5)
        axes.text(
            max(begin + took, 0) + whole_ms * 0.006, row, f"{took:.0f} ms", va="center", fontsize=6.5, color="#475569"
        )
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xlim(-whole_ms * 0.61, whole_ms * 1.08)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= whole_ms])
    axes.set_yticks([])
    axes.set_xlabel("milliseconds since the call of the caller", fontsize=8, loc="right")
    axes.tick_params(labelsize=7)
    axes.axvline(0, color="#cbd5e1", linewidth=0.8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.legend(
        handles=[Patch(color=colour, label=service) for service, colour in colours.items()],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=len(colours),
        fontsize=8,
        frameon=False,
    )
    figure.tight_layout()
    figure.savefig(file, dpi=110, metadata={"Software": None} if file.suffix == ".png" else None)
    pyplot.close(figure)


def main(arguments: Sequence[str]) -> int:
    """Draws the picture. Returns the exit code: 1 if the file has no spans."""
    parser = argparse.ArgumentParser(prog="python -m tools.draw_trace", description=__doc__)
    parser.add_argument("spans", type=Path, help="the spans of one trace, JSON")
    parser.add_argument("picture", type=Path, help="a .png or .svg")
    given = parser.parse_args(arguments)
    found = bars(json.loads(given.spans.read_text()))
    if not found:
        sys.stderr.write(f"{given.spans} has no spans\n")
        return 1
    draw(found, given.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
