"""Durations between times of different machines, whose clocks may differ."""

from prometheus_client import Histogram, Summary

from services.metrics.exemplar import exemplar


def observe(histogram: Histogram, seconds: float) -> None:
    """Observes a duration with its trace. A negative one shows that clocks differ, and says nothing else."""
    if seconds >= 0:
        histogram.observe(seconds, exemplar())


def add(summary: Summary, seconds: float) -> None:
    """Observes a duration, unless it is negative."""
    if seconds >= 0:
        summary.observe(seconds)
