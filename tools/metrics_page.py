"""Writes docs/metrics.md: `python -m tools.metrics_page`; `--check` only compares.

Names, types, labels and meanings come from the code; texts and example queries from `metrics_page.yaml`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.known_metrics import Metric, of_models, of_processes

FILE = Path(__file__).resolve().parents[1] / "docs/metrics.md"
SOURCE = Path(__file__).with_suffix(".yaml")
TABLE = "| name | type | labels | meaning |\n|---|---|---|---|\n"
MODELS = "Triton models"


def text() -> str:
    """Returns the page."""
    source = yaml.safe_load(SOURCE.read_text())
    sections = {**of_processes(), MODELS: of_models()}
    given = source["sections"]
    assert list(given) == list(sections), "metrics_page.yaml has the sections of known_metrics.py, in this order"
    written = "".join(_section(title, given[title], metrics) for title, metrics in sections.items())
    return f"# Metrics\n\n{source['head']}{written}"


def _section(title: str, source: dict[str, Any], metrics: Sequence[Metric]) -> str:
    rows = "".join(f"| `{each.name}` | {each.kind} | {', '.join(each.labels)} | {each.meaning} |\n" for each in metrics)
    queries = "\n".join(
        f"# {query['for']}\n" + "".join(f"{q}\n" for q in query["queries"]) for query in source["queries"]
    )
    return f"\n## {title}\n\n{source['text']}\n{TABLE}{rows}\n```promql\n{queries}```\n"


def main(arguments: Sequence[str], file: Path = FILE) -> int:
    """Writes the page, or checks that it is current. Returns the exit code: 1 if it is not."""
    parser = argparse.ArgumentParser(prog="python -m tools.metrics_page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare; exits 1 when the page is not current")
    if not parser.parse_args(arguments).check:
        file.write_text(text())
    elif file.read_text() != text():
        sys.stderr.write(f"{file.name} is not current: python -m tools.metrics_page writes it\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
