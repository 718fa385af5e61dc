"""Spans: off they are nothing, on they are children of the current one."""

import asyncio
import json
import logging
import subprocess
import sys

import pytest
from opentelemetry.trace import StatusCode

from i2v_client import caller_span
from services.errors import Unavailable
from services.process import traced
from services.reasons import ServiceReason
from services.rpc.logs import JsonLines
from services.tracing import spans
from services.tracing.settings import TracingSettings
from services.tracing.spans import NO_SPAN, Kind
from services.tracing.trace_context import TraceContext
from tests.support.recorded_spans import named, recording

PARENT = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True, "of=another")


def logged() -> dict[str, str]:
    record = logging.makeLogRecord({"msg": "hello", "levelname": "INFO"})
    line: dict[str, str] = json.loads(JsonLines().format(record))
    return line


def test_off_there_is_one_span_that_does_nothing_and_logs_have_no_ids() -> None:
    assert spans.begin("x") is spans.entry("x", Kind.SERVER) is NO_SPAN
    with NO_SPAN as span:
        span.set("a", 1)
        span.event("b")
        span.fail("c")
        assert (spans.current(), spans.text_of_current(), span.context(), span.recorded) == (None, "", None, False)
        assert "trace_id" not in logged()


def test_a_process_without_an_endpoint_loads_nothing_of_the_librarys_sdk() -> None:
    programs = ("orchestrator.__main__", "providers.app", "providers.prompt.app", "studio.app", "client.commands")
    loaded = ", ".join(f"services.{program}" for program in programs)
    sdk = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto")
    look = f"import sys, {loaded}; sys.exit(any(name.startswith({sdk}) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", look], timeout=120).returncode == 0


def test_what_a_process_does_by_itself_makes_no_trace() -> None:
    with recording() as kept:
        assert spans.begin("a look at the database") is NO_SPAN
    assert kept == []


def test_a_span_is_a_child_of_the_current_one_and_its_ids_are_in_the_log() -> None:
    with recording() as kept:
        with spans.entry("call", Kind.SERVER, {"a": 1}, parent=PARENT, ago_s=2.0), spans.begin("part") as part:
            context = part.context()
            assert context is not None and context == spans.current() and context.state == "of=another"
            line = logged()
        assert spans.current() is None
    call, inner = named(kept, "call"), named(kept, "part")
    assert call.parent is not None and f"{call.parent.span_id:016x}" == PARENT.span_id and call.parent.is_remote
    assert inner.parent is not None and call.context is not None and inner.parent.span_id == call.context.span_id
    assert (line["trace_id"], line["span_id"]) == (PARENT.trace_id, context.span_id)
    assert call.end_time is not None and call.start_time is not None and call.end_time - call.start_time >= 2e9
    assert call.attributes == {"a": 1}


async def test_tasks_that_are_made_inside_are_inside() -> None:
    async def work() -> TraceContext | None:
        return spans.current()

    with recording() as kept, spans.entry("call", Kind.SERVER):
        found = await asyncio.create_task(spans.during("part", work))
    assert found is not None and named(kept, "part").context is not None
    assert found.span_id == f"{named(kept, 'part').context.span_id:016x}"


async def test_work_that_is_cancelled_before_it_begins_is_no_warning() -> None:
    async def work() -> None:
        raise AssertionError("it does not begin")

    task = asyncio.create_task(spans.during("part", work))
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Unavailable("the secret is seven", reason=ServiceReason.DATABASE_UNAVAILABLE), "DATABASE_UNAVAILABLE"),
        (ValueError("the secret is seven"), "ValueError"),
    ],
)
def test_a_failure_is_noted_by_its_kind_and_never_by_its_words(error: Exception, kind: str) -> None:
    with recording() as kept, pytest.raises(type(error)), spans.entry("call", Kind.SERVER):
        raise error
    (span,) = kept
    assert span.status.status_code is StatusCode.ERROR and span.attributes == {"error.type": kind}
    assert "seven" not in span.to_json()


def test_a_cancel_is_no_failure() -> None:
    with recording() as kept, pytest.raises(asyncio.CancelledError), spans.entry("call", Kind.SERVER):
        raise asyncio.CancelledError
    (span,) = kept
    assert span.status.status_code is StatusCode.UNSET and [event.name for event in span.events] == ["cancelled"]


def test_a_trace_that_is_not_recorded_has_no_inner_spans_but_is_known_elsewhere() -> None:
    with recording("parentbased_always_off") as kept, spans.entry("call", Kind.SERVER) as call:
        assert spans.begin("part") is NO_SPAN
        context = TraceContext.of_text(spans.text_of_current())
        assert context is not None and not context.sampled and not call.recorded
        with spans.entry("attempt", Kind.CONSUMER, parent=context) as attempt:
            assert not attempt.recorded, "who records the first part of a trace decides for all of it"
    assert kept == []


def test_our_client_uses_the_tracer_of_its_program_and_needs_none() -> None:
    assert caller_span.begin("/i2v.v1.JobService/GetJob") is None
    with recording(), spans.entry("a caller's work", Kind.INTERNAL) as work:
        call, context = caller_span.begin("/i2v.v1.JobService/GetJob"), work.context()
        assert call is not None and TraceContext.of_headers(call.headers) == context


@pytest.mark.parametrize(
    ("endpoint", "service", "traces"),
    [("", "i2v-api", False), ("http://127.0.0.1:9", "", False), ("http://127.0.0.1:9", "i2v-api", True)],
)
def test_a_process_traces_with_an_endpoint_and_a_name_alone(endpoint: str, service: str, traces: bool) -> None:
    with traced(TracingSettings(exporter_otlp_endpoint=endpoint), service):
        assert spans.is_on() is traces
    assert not spans.is_on()
