"""Writes the dashboards for Grafana from tools/dashboards.yaml: `python -m tools.dashboards`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef, VariableRefresh, VariableSort

SOURCE = Path(__file__).with_suffix(".yaml")
FOLDER = Path(__file__).resolve().parents[1] / "deploy/monitoring/dashboards"
WIDTH, HEIGHT = 12, 8
"""Of a panel; Grafana's grid is 24 wide."""
PROMETHEUS = DataSourceRef("prometheus", "${source}")
"""Every dashboard has a variable that chooses the Prometheus."""
BY_NAME, ON_LOAD = VariableSort.ALPHABETICAL_ASC, VariableRefresh.ON_DASHBOARD_LOAD


def dashboards() -> Mapping[str, Any]:
    """Returns the dashboards of the source by their names."""
    return dict(yaml.safe_load(SOURCE.read_text()))


def panels(given: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yields the panels of a dashboard in their order."""
    for row in given["rows"].values():
        yield from row


def text(name: str, given: Mapping[str, Any]) -> str:
    """Returns a dashboard as Grafana's JSON."""
    board = Dashboard(given["title"]).uid(f"i2v-{name}").tags(["i2v"]).refresh("30s").time("now-3h", "now")
    board = board.with_variable(DatasourceVariable("source").type("prometheus").label("Prometheus"))
    for variable, query in given.get("variables", {}).items():
        board = board.with_variable(
            QueryVariable(variable).datasource(PROMETHEUS).query(query).sort(BY_NAME).refresh(ON_LOAD)
        )
    for title, row in given["rows"].items():
        board = board.with_row(Row(title))
        for panel in row:
            board = board.with_panel(_panel(panel))
    return str(JSONEncoder(sort_keys=True, indent=1).encode(board.build())) + "\n"


def _panel(given: Mapping[str, Any]) -> Panel:
    runbook = DashboardLink("Runbook").type(DashboardLinkType.LINK).url(f"docs/runbooks/{given['runbook']}.md")
    panel = Panel().title(given["title"]).description(given["text"]).unit(given["unit"]).links([runbook])
    panel = panel.datasource(PROMETHEUS).height(HEIGHT).span(WIDTH)
    for letter, (legend, query) in zip("ABCDEFGH", given["queries"].items(), strict=False):
        panel = panel.with_target(Dataquery().expr(query).legend_format(legend).ref_id(letter))
    return panel


def main() -> None:
    """Writes one file a dashboard."""
    FOLDER.mkdir(exist_ok=True)
    for name, given in dashboards().items():
        (FOLDER / f"{name}.json").write_text(text(name, given))


if __name__ == "__main__":
    main()
