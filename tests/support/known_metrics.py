"""The metrics that the code has, with their types and labels."""

from collections.abc import Iterable

from tools import known_metrics
from tools.known_metrics import Metric


def _described(metrics: Iterable[Metric]) -> dict[str, tuple[str, str]]:
    return {each.name: (each.kind, ", ".join(each.labels)) for each in metrics}


def metrics_of_processes() -> dict[str, tuple[str, str]]:
    """Returns type and labels of each metric of our processes by its name."""
    return _described(metric for section in known_metrics.of_processes().values() for metric in section)


def metrics_of_models() -> dict[str, tuple[str, str]]:
    """Returns type and labels of each metric of our Triton models by its name."""
    return _described(known_metrics.of_models())
