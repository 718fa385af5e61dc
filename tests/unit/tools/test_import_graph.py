"""docs/import-graph.svg shows the code, and its layout is readable."""

import pytest

from tools import import_graph
from tools.layered_layout import layout

FOLDER = import_graph.ROOT / "services"


def test_the_picture_is_what_its_tool_draws() -> None:
    assert import_graph.FILE.read_text() == import_graph.picture(), "python -m tools.import_graph draws it"


def test_every_package_is_in_the_picture() -> None:
    packages = [file.parent for folder in ("", "orchestrator") for file in (FOLDER / folder).glob("*/__init__.py")]
    assert len(packages) > 10
    drawn = import_graph.FILE.read_text()
    assert [folder.name for folder in packages if f">{folder.name}</text>" not in drawn] == []


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    edges = {
        ("app", "api"),
        ("api", "ports"),
        ("ports", "domain"),
        ("app", "domain"),
        ("api", "domain"),
        ("app", "store"),
    }
    assert import_graph.reduced(edges) == {("app", "api"), ("api", "ports"), ("ports", "domain"), ("app", "store")}


def test_a_cycle_of_imports_is_refused_and_named() -> None:
    with pytest.raises(ValueError, match="api → store → api"):
        import_graph.reduced({("api", "store"), ("store", "api")})


def test_only_the_layers_of_the_orchestrator_become_rows() -> None:
    layers = [
        "services.orchestrator.api | services.orchestrator.worker",
        "services.orchestrator.domain",
        "services.errors",
    ]
    rows = import_graph.rows_of_core([{"name": "another"}, {"name": import_graph.CONTRACT, "layers": layers}])
    assert rows == [["services.orchestrator.api", "services.orchestrator.worker"], ["services.orchestrator.domain"]]


def test_each_row_is_above_its_imports() -> None:
    edges = {("orchestrator", "rpc"), ("client", "rpc"), ("rpc", "errors"), ("orchestrator", "errors")}
    rows = import_graph.rows_by_height(["client", "errors", "orchestrator", "rpc"], edges)
    assert rows == [["client", "orchestrator"], ["rpc"], ["errors"]]


def test_a_row_is_ordered_to_avoid_crossing_edges() -> None:
    x, _ = layout([["a", "b"], ["c", "d"]], [("a", "d"), ("b", "c")], dict.fromkeys("abcd", 50.0))
    assert (x["a"] < x["b"]) == (x["d"] < x["c"])


def test_boxes_of_a_row_do_not_overlap_and_a_long_edge_has_a_place_between_them() -> None:
    widths = dict.fromkeys("abcde", 60.0)
    edges = [("a", "b"), ("a", "c"), ("a", "e"), ("b", "d"), ("c", "d")]
    x, paths = layout([["a"], ["b", "c"], ["d", "e"]], edges, widths)
    row = sorted([x["b"], x["c"]])
    assert row[1] - row[0] > 60
    assert len(paths["a", "e"]) == 3
    assert all(abs(paths["a", "e"][1] - each) > 30 for each in row)
