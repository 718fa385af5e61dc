"""Which traces are recorded, for every sampler of OpenTelemetry's variables."""

import pytest

from services.tracing import spans
from services.tracing.settings import Sampler
from services.tracing.spans import Kind
from services.tracing.trace_context import TraceContext
from tests.support.recorded_spans import recording

LOW, HIGH = "0af7651916cd43dd0448eb211c80319c", "0af7651916cd43ddf448eb211c80319c"
"""Ids of traces whose last 64 bits are low, and high."""


def recorded(sampled: Sampler, share: float, parent: TraceContext | None) -> bool:
    with recording(sampled, share) as kept, spans.entry("call", Kind.SERVER, parent=parent) as span:
        context = span.context()
        assert context is not None and context.sampled is span.recorded
        assert parent is None or context.trace_id == parent.trace_id
        with spans.begin("part") as part:
            assert part.recorded is span.recorded
    assert bool(kept) is context.sampled and len(kept) in (0, 2)
    return context.sampled


@pytest.mark.parametrize(
    ("sampled", "share", "alone", "in_recorded", "in_unrecorded"),
    [
        ("always_on", 1.0, True, True, True),
        ("always_off", 1.0, False, False, False),
        ("parentbased_always_on", 1.0, True, True, False),
        ("parentbased_always_off", 1.0, False, True, False),
        ("parentbased_traceidratio", 0.0, False, True, False),
        ("parentbased_traceidratio", 1.0, True, True, False),
        ("traceidratio", 0.0, False, False, False),
        ("traceidratio", 1.0, True, True, True),
    ],
)
def test_who_decides(sampled: Sampler, share: float, alone: bool, in_recorded: bool, in_unrecorded: bool) -> None:
    parents = (None, TraceContext(HIGH, "1" * 16, sampled=True), TraceContext(HIGH, "1" * 16, sampled=False))
    found = [recorded(sampled, share, parent) for parent in parents]
    assert found == [alone, in_recorded, in_unrecorded]


def test_a_ratio_alone_decides_by_the_id_so_that_all_processes_decide_alike() -> None:
    found = [recorded("traceidratio", 0.5, TraceContext(trace_id, "1" * 16, False)) for trace_id in (LOW, HIGH)]
    assert found == [True, False]


def test_a_share_of_the_traces_that_begin_here_is_recorded() -> None:
    with recording("parentbased_traceidratio", 0.25) as kept:
        for _ in range(4000):
            spans.entry("call", Kind.SERVER).end()
    assert 800 < len(kept) < 1200
