"""The page of the metrics is what its tool writes from the code."""

from pathlib import Path

import pytest
import yaml

from tools import known_metrics, metrics_page


def test_the_page_of_the_documentation_is_current() -> None:
    assert metrics_page.main(["--check"]) == 0, "python -m tools.metrics_page writes it"


def test_a_stale_page_is_noticed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "metrics.md"
    page.write_text(metrics_page.FILE.read_text().replace("| gauge |", "| counter |", 1))
    assert metrics_page.main(["--check"], page) == 1
    assert "metrics.md is not current" in capsys.readouterr().err
    assert metrics_page.main([], page) == 0
    assert page.read_text() == metrics_page.FILE.read_text()


def test_every_metric_has_a_row_with_a_sentence() -> None:
    text = metrics_page.text()
    for metric in known_metrics.all_metrics():
        assert metric.meaning.endswith("."), metric.name
        assert f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.meaning} |" in text


def test_no_two_metrics_have_a_name() -> None:
    names = [metric.name for metric in known_metrics.all_metrics()]
    twice = {name for name in names if names.count(name) > 1}
    assert twice == set()


def test_every_query_says_what_it_is_for() -> None:
    source = yaml.safe_load(metrics_page.SOURCE.read_text())
    for title, section in source["sections"].items():
        assert section["queries"], title
        assert all(query["for"] and query["queries"] for query in section["queries"]), title
