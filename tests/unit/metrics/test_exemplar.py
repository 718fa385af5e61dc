"""An exemplar names the current trace, if that is recorded."""

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.exposition import generate_latest

from services.metrics.exemplar import exemplar
from services.tracing import spans
from services.tracing.trace_context import TraceContext
from tests.support.recorded_spans import recording

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(("sampled", "labels"), [(True, {"trace_id": TRACE}), (False, None)])
def test_only_a_recorded_trace_is_an_exemplar(sampled: bool, labels: dict[str, str] | None) -> None:
    with recording(), spans.entry("call", spans.Kind.SERVER, parent=TraceContext(TRACE, "b7ad6b7169203331", sampled)):
        assert exemplar() == labels


def test_without_a_trace_there_is_none() -> None:
    assert exemplar() is None
    with recording():
        assert exemplar() is None


def test_an_exemplar_is_in_the_format_of_openmetrics() -> None:
    registry = CollectorRegistry()
    counter = Counter("i2v_test_total", "A test.", registry=registry)
    with recording(), spans.entry("call", spans.Kind.SERVER, parent=TraceContext(TRACE, "b7ad6b7169203331", True)):
        counter.inc(1, exemplar())
    assert f'i2v_test_total 1.0 # {{trace_id="{TRACE}"}} 1.0' in generate_latest(registry).decode()
