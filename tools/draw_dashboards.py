"""Draws the dashboards from a Prometheus: `python -m tools.draw_dashboards --prometheus URL --out docs/dashboards`.

One picture a dashboard, from the files that Grafana reads. Panels without data are named at the end.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from tools.dashboards import FOLDER
from tools.panel_drawing import Chart, Group, Line, draw
from tools.prometheus_ranges import Range, query

POINTS = 150
"""Values of a series, at most."""
VARIABLE = re.compile(r"\$(\w+)")
PARTS_OF_LABELS = re.compile(r"label_values\((\w+), (\w+)\)")


def groups(client: httpx.Client, board: Mapping[str, Any], over: Range, chosen: Mapping[str, str]) -> list[Group]:
    """Returns the rows of a dashboard with the data of their panels. `chosen` are the values of its variables."""
    found: list[Group] = []
    for panel in board["panels"]:
        if panel["type"] == "row":
            found.append(Group(panel["title"]))
            continue
        chart = Chart(panel["title"], panel["fieldConfig"]["defaults"]["unit"])
        for target in panel["targets"]:
            expression = VARIABLE.sub(lambda name: chosen.get(name[1], name[0]), target["expr"])
            for series in query(client, expression, over):
                chart.lines.append(Line(series.legend(target["legendFormat"]), series))
        found[-1].charts.append(chart)
    return found


def choices(client: httpx.Client, board: Mapping[str, Any]) -> dict[str, str]:
    """Returns a value for each variable that is one of a label: the first that Prometheus has."""
    found = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query" and (parts := PARTS_OF_LABELS.fullmatch(variable["query"])):
            answer = client.get(f"/api/v1/label/{parts[2]}/values", params={"match[]": parts[1]})
            answer.raise_for_status()
            found[variable["name"]] = next(iter(answer.json()["data"]), "")
    return found


def draw_all(address: str, out: Path, minutes: float, note: str, chosen: dict[str, str]) -> Sequence[str]:
    """Draws every dashboard; returns the panels without data."""
    out.mkdir(parents=True, exist_ok=True)
    end = time.time()
    over = Range(end - minutes * 60, end, max(1.0, minutes * 60 / POINTS))
    empty: list[str] = []
    with httpx.Client(base_url=address, trust_env=False) as client:
        for file in sorted(FOLDER.glob("*.json")):
            board = json.loads(file.read_text())
            found = groups(client, board, over, choices(client, board) | chosen)
            said = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d} UTC, {minutes:g} min. {note}".rstrip()
            draw(_title(board, choices(client, board) | chosen), said, found, over, out / f"{file.stem}.png")
            empty += [f"{file.stem}: {title}" for title in without_data(found)]
    return empty


def without_data(found: Sequence[Group]) -> Iterator[str]:
    """Yields the titles of the panels that have no data."""
    yield from (chart.title for group in found for chart in group.charts if not chart.lines)


def _title(board: Mapping[str, Any], chosen: Mapping[str, str]) -> str:
    values = ", ".join(f"{name} {value}" for name, value in chosen.items() if value)
    return f"{board['title']}: {values}" if values else str(board["title"])


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.draw_dashboards", description=__doc__)
    parser.add_argument("--prometheus", required=True, metavar="URL", help="such as http://127.0.0.1:9090")
    parser.add_argument("--out", type=Path, default=Path("docs/dashboards"))
    parser.add_argument("--minutes", type=float, default=15.0, help="how far back the pictures go")
    parser.add_argument("--note", default="", help="a text for the corner of each picture")
    parser.add_argument("--set", action="append", default=[], metavar="VARIABLE=VALUE", help="such as tenant=studio")
    given = parser.parse_args()
    chosen = dict(each.partition("=")[::2] for each in given.set)
    empty = draw_all(given.prometheus, given.out, given.minutes, given.note, chosen)
    print(*(f"no data: {each}" for each in empty), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
