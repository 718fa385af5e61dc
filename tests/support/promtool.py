"""Finds Prometheus' programs, which come from Debian."""

import shutil

import pytest

PROMTOOL = shutil.which("promtool")
PROMETHEUS = shutil.which("prometheus")
needs_prometheus = pytest.mark.skipif(
    PROMTOOL is None or PROMETHEUS is None,
    reason="needs Prometheus: apt-get install prometheus, then run this test again",
)
