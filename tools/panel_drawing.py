"""Draws a dashboard as one picture: its rows, and a small chart for each panel. Grafana's look, without Grafana."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, DateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

from tools.prometheus_ranges import Range, Series

COLUMNS = 2
WIDTH, PANEL, ROW, HEAD = 12.0, 2.35, 0.42, 0.6
"""Inches: of the picture, and the heights of a panel, of the title of a row, and of the picture's head."""
DPI = 100
COLORS = 160
"""Of the palette: a chart needs no more, and the file stays small."""
LEGENDS = 6
"""Series that are named under a panel; the others are counted."""
PALETTE = ("#3274d9", "#e0852d", "#56a64b", "#b877d9", "#e02f44", "#37872d", "#8f3bb8", "#1f78c1", "#c4162a", "#ad8b00")
DAY_S = 86_400.0
"""Times of charts are days since 1970."""
UNITS = {"reqps": "1/s", "Bps": "B/s", "bytes": "B", "s": "s", "d": "days", "currencyUSD": "USD"}
SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart."""

    name: str
    series: Series


@dataclass(frozen=True, slots=True)
class Chart:
    """One panel with its data."""

    title: str
    unit: str
    """Grafana's name of it."""
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Group:
    """A row of a dashboard."""

    title: str
    charts: list[Chart] = field(default_factory=list)


def draw(title: str, note: str, groups: Sequence[Group], over: Range, file: Path) -> None:
    """Writes a picture of a dashboard as PNG. All panels show the same range of time."""
    lines = [(group, -(-len(group.charts) // COLUMNS)) for group in groups]
    height = HEAD + sum(ROW + count * PANEL for _, count in lines)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    figure.text(0.02, 1 - 0.34 / height, title, fontsize=14, fontweight="bold", color="#24292e", va="center")
    figure.text(0.98, 1 - 0.34 / height, note, fontsize=8, color="#6e6e6e", va="center", ha="right")
    top = HEAD
    for group, count in lines:
        figure.text(0.02, 1 - (top + 0.2) / height, group.title, fontsize=11, color="#464c54", va="center")
        top += ROW
        for number, chart in enumerate(group.charts):
            column, row = number % COLUMNS, number // COLUMNS
            # Room for the numbers at the left, the title above, and the times and the legend below.
            left, bottom = column / COLUMNS + 0.062, height - top - (row + 1) * PANEL + 0.62
            axes = figure.add_axes((left, bottom / height, 1 / COLUMNS - 0.085, (PANEL - 0.98) / height))
            _chart(axes, chart, over)
        top += count * PANEL
    written = io.BytesIO()
    figure.savefig(written, format="png")
    Image.open(written).convert("RGB").quantize(COLORS).save(file, optimize=True)


def shown(value: float, unit: str) -> str:
    """Returns a value with its unit, short enough for an axis."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "µs":
        value, unit = value / 1e6, "s"
    name = UNITS.get(unit, "")
    if unit == "s" and 0 < abs(value) < 1:
        value, name = value * 1000, "ms"
    scale, prefix = next(((size, letter) for size, letter in SCALES if abs(value) >= size), (1.0, ""))
    if unit == "s" and prefix:
        return f"{value:,.0f} s"
    gap = " " if name or prefix else ""
    return f"{value / scale:.4g}{gap}{prefix}{name}"


def _chart(axes: Axes, chart: Chart, over: Range) -> None:
    axes.set_title(chart.title, fontsize=9, fontweight="bold", color="#24292e", loc="left", pad=6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#c7d0d9")
    axes.tick_params(labelsize=7, colors="#52545c", length=2)
    axes.grid(visible=True, color="#e9edf2", linewidth=0.7)
    axes.set_axisbelow(True)
    if not chart.lines:
        axes.text(
            0.5, 0.5, "nothing happened in this run", transform=axes.transAxes, ha="center", va="center", fontsize=8
        )
        axes.set_xticks([])
        axes.set_yticks([])
        return
    for number, line in enumerate(chart.lines):
        times, values = _with_gaps(line.series, over.step_s)
        color, width = PALETTE[number % len(PALETTE)], max(1.0, min(1.2 + 0.4 * len(chart.lines), 2.4) - 0.4 * number)
        dots = "." if len(times) == 1 else ""
        axes.plot(times, values, color=color, linewidth=width, label=line.name, marker=dots, markersize=3)
        if len(chart.lines) == 1:
            axes.fill_between(times, values, color=color, alpha=0.12, linewidth=0)
    low, high = axes.get_ylim()
    values = [value for line in chart.lines for value in line.series.values]
    if min(values) >= 0:
        axes.set_ylim(0, max(high, max(values) * 1.1, 1e-9 if max(values) else 1.0))
    else:
        axes.set_ylim(low, high)
    counts = chart.unit == "short" and all(value == round(value) for value in values)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], integer=counts))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, chart.unit)))
    axes.set_xlim(over.start / DAY_S, over.end / DAY_S)
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=6))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M:%S", tz=UTC))  # type: ignore[no-untyped-call]
    handles, names = axes.get_legend_handles_labels()
    if len(names) > LEGENDS:
        handles, names = handles[:LEGENDS], [*names[: LEGENDS - 1], f"and {len(names) - LEGENDS + 1} more"]
    names = [name if len(name) <= 34 else f"{name[:33]}…" for name in names]
    axes.legend(
        handles, names, loc="upper left", bbox_to_anchor=(-0.02, -0.14), ncols=3, frameon=False, fontsize=7,
        handlelength=1.2, columnspacing=1.2, borderaxespad=0.0, labelspacing=0.25,
    )  # fmt: skip


def _with_gaps(series: Series, step_s: float) -> tuple[list[float], list[float]]:
    """Returns times in days and values, with no value where some are missing: no line is drawn over a gap."""
    times, values = [series.times[0] / DAY_S], [series.values[0]]
    for before, time, value in zip(series.times, series.times[1:], series.values[1:], strict=False):
        if time - before > 1.5 * step_s:
            times.append((before + time) / 2 / DAY_S)
            values.append(math.nan)
        times.append(time / DAY_S)
        values.append(value)
    return times, values
