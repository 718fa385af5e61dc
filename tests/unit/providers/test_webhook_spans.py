"""A webhook is part of the trace that waits for it."""

from opentelemetry.trace import SpanKind

from services.providers.task_wakeups import TaskWakeups
from services.tracing import spans
from services.tracing.spans import Kind
from tests.support.recorded_spans import named, recording


def test_a_webhook_is_a_child_of_the_call_that_waits_for_the_task() -> None:
    wakeups = TaskWakeups()
    with recording() as kept, spans.entry("Generate", Kind.SERVER) as waiting, wakeups.waiting("task-1") as wakeup:
        wakeups.wake("task-1")
        assert wakeup.is_set()
        context = waiting.context()
    webhook = named(kept, "webhook")
    assert webhook.kind is SpanKind.SERVER and webhook.parent is not None and context is not None
    assert f"{webhook.parent.span_id:016x}" == context.span_id
    assert not webhook.attributes


def test_a_webhook_that_no_call_waits_for_is_no_span() -> None:
    with recording() as kept:
        assert not TaskWakeups().wake("task-1")
    assert kept == []
