"""The series of a Prometheus over a range of time."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
SHORT_S = 30.0


@dataclass(frozen=True, slots=True)
class Series:
    """The values of one series."""

    labels: Mapping[str, str]
    times: list[float]
    """Seconds since 1970."""
    values: list[float]

    def legend(self, form: str) -> str:
        """Returns the name of the series by Grafana's form of a legend, such as `{{model}}`."""
        return LEGEND.sub(lambda found: self.labels.get(found[1], ""), form).strip()


@dataclass(frozen=True, slots=True)
class Range:
    """From a time to another, in seconds since 1970, with a value each `step_s`."""

    start: float
    end: float
    step_s: float


def query(client: httpx.Client, expression: str, over: Range) -> list[Series]:
    """Returns the series of a query that have values. Raises httpx.HTTPStatusError if Prometheus refuses it."""
    asked: dict[str, str | float] = {"query": expression, "start": over.start, "end": over.end, "step": over.step_s}
    answer = client.get("/api/v1/query_range", params=asked, timeout=SHORT_S)
    answer.raise_for_status()
    found = []
    for each in answer.json()["data"]["result"]:
        points = [(float(time), float(value)) for time, value in each["values"]]
        finite = [(time, value) for time, value in points if math.isfinite(value)]
        if finite:
            times, values = (list(column) for column in zip(*finite, strict=True))
            found.append(Series(each["metric"], times, values))
    return found
