"""The pictures of the dashboards: every panel is drawn, in a small file, from what Prometheus answers."""

import json
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tools.dashboards import FOLDER
from tools.draw_dashboards import choices, groups, without_data
from tools.panel_drawing import Chart, Group, Line, draw, shown
from tools.prometheus_ranges import Range, Series, query

OVER = Range(1_700_000_000, 1_700_000_060, 10)
BOARDS = sorted(file.stem for file in FOLDER.glob("*.json"))


def prometheus(asked: list[str], values: list[list[object]]) -> httpx.Client:
    """A Prometheus that answers each query with one series."""

    def answer(request: httpx.Request) -> httpx.Response:
        if "/label/" in request.url.path:
            return httpx.Response(200, json={"data": ["studio"]})
        asked.append(request.url.params["query"])
        series = {"metric": {"model": "nano"}, "values": values}
        return httpx.Response(200, json={"data": {"result": [series]}})

    return httpx.Client(transport=httpx.MockTransport(answer), base_url="http://prometheus")


@pytest.mark.parametrize("name", BOARDS)
def test_every_query_of_a_dashboard_is_asked_with_the_values_of_its_variables(name: str) -> None:
    board = json.loads((FOLDER / f"{name}.json").read_text())
    asked: list[str] = []
    with prometheus(asked, [[1_700_000_000, "1.5"]]) as client:
        found = groups(client, board, OVER, choices(client, board))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert [chart.title for group in found for chart in group.charts] == [panel["title"] for panel in panels]
    assert len(asked) == sum(len(panel["targets"]) for panel in panels)
    assert not any("$" in each for each in asked) and list(without_data(found)) == []


def test_values_that_are_no_numbers_are_left_out_and_a_legend_has_the_labels() -> None:
    with prometheus([], [[1, "NaN"], [2, "+Inf"], [3, "4"]]) as client:
        [series] = query(client, "up", OVER)
    assert (series.times, series.values) == ([3.0], [4.0])
    assert (series.legend("{{model}} {{ none }}"), series.legend("charged")) == ("nano", "charged")
    with prometheus([], [[1, "NaN"]]) as client:
        assert query(client, "up", OVER) == []


def test_a_picture_has_the_panels_in_two_columns_and_is_small(tmp_path: Path) -> None:
    lines = [Line(f"a series {number}", Series({}, [OVER.start, OVER.end], [0.0, number])) for number in range(9)]
    charts = [Chart("Nothing", "s"), Chart("One", "bytes", lines[:1]), Chart("Many", "percentunit", lines)]
    draw("A board", "now", [Group("A row", charts)], OVER, tmp_path / "board.png")
    with Image.open(tmp_path / "board.png") as picture:
        assert picture.size == (1200, 572)
    assert (tmp_path / "board.png").stat().st_size < 150_000


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.25, "s", "250 ms"),
        (1500, "s", "1,500 s"),
        (1500, "µs", "1.5 ms"),
        (0.001, "percentunit", "0.1 %"),
        (5e9, "bytes", "5 GB"),
        (0.05, "currencyUSD", "0.05 USD"),
        (12, "short", "12"),
        (0, "reqps", "0 1/s"),
    ],
)
def test_a_value_on_an_axis_has_its_unit(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text
