"""Every metric and label that a rule, a dashboard or a page names exists in the code."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.support import promql
from tests.support.known_metrics import metrics_of_models, metrics_of_processes
from tools import dashboards

ROOT = Path(__file__).resolve().parents[3]
OF_EVERY_TARGET = {"job", "instance"}
OF_OTHERS = {
    "up": OF_EVERY_TARGET,
    "nv_inference_queue_duration_us": {"model", "version"},
    "nv_inference_exec_count": {"model", "version"},
}
"""Prometheus' own, and Triton's."""


@cache
def labels() -> dict[str, set[str]]:
    """The labels of every series that can be selected."""
    found = dict(OF_OTHERS)
    for name, (kind, names) in (metrics_of_processes() | metrics_of_models()).items():
        own = OF_EVERY_TARGET | (set(names.split(", ")) if names else set())
        if kind in ("histogram", "summary"):
            found |= {f"{name}_count": own, f"{name}_sum": own, f"{name}_bucket": own | {"le"}}
        else:
            found[name] = own
    for file in ROOT.glob("deploy/monitoring/rules/*.yaml"):
        rules = [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
        found |= {rule["record"]: set() for rule in rules if "record" in rule}
    return found


def queries() -> Iterator[tuple[str, str]]:
    for file in sorted(ROOT.glob("deploy/monitoring/rules/*.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                yield rule.get("alert") or rule["record"], rule["expr"]
    for name, given in dashboards.dashboards().items():
        for panel in dashboards.panels(given):
            for query in panel["queries"].values():
                yield f"{name}: {panel['title']}", query
    for block in re.findall(r"```promql\n(.*?)```", (ROOT / "docs/metrics.md").read_text(), re.DOTALL):
        for line in block.splitlines():
            if line and not line.startswith("#"):
                yield "metrics.md", line


@pytest.mark.parametrize(("place", "query"), list(queries()))
def test_a_query_selects_what_exists(place: str, query: str) -> None:
    known = labels()
    for name, matched in promql.selectors(query):
        assert name in known, place
        assert matched <= known[name], place
    for kept, names in promql.grouped(query):
        assert kept <= set.union(*(known[name] for name in names)), place


def test_a_call_that_we_cancel_is_no_failure_of_another() -> None:
    of_clients = [query for _, query in queries() if "grpc_client_handled_total{" in query]
    assert of_clients and all('grpc_code!~"OK|Canceled"' in query for query in of_clients)


@pytest.mark.parametrize("name", dashboards.dashboards())
def test_a_dashboard_is_the_one_of_the_source(name: str) -> None:
    written = (dashboards.FOLDER / f"{name}.json").read_text()
    assert written == dashboards.text(name, dashboards.dashboards()[name]), "python -m tools.dashboards writes it"


def test_no_dashboard_is_left_over() -> None:
    assert {file.stem for file in dashboards.FOLDER.iterdir()} == set(dashboards.dashboards())


@pytest.mark.parametrize("name", dashboards.dashboards())
def test_every_panel_has_a_sentence_a_unit_and_a_runbook(name: str) -> None:
    for panel in dashboards.panels(dashboards.dashboards()[name]):
        assert panel["text"].endswith("."), panel["title"]
        assert panel["unit"], panel["title"]
        assert (ROOT / f"docs/runbooks/{panel['runbook']}.md").is_file(), panel["title"]
