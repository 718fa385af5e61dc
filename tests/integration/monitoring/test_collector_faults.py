"""A collector that is away, slow, or refuses: spans are lost, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider

from i2v_client import AsyncClient
from services.tracing import spans
from services.tracing.export import Export
from services.tracing.settings import TracingSettings
from services.tracing.span_queue import SpanQueue
from services.tracing.spans import Kind
from tests.support.programs import fresh_port, program
from tools.otlp_receiver import OtlpReceiver, receiving

MOST = 100
STOPPED_S = 5.0
"""Much less than the ten seconds that the library gives to one batch, and than its thirty for an end."""


@pytest.fixture
async def collector() -> AsyncIterator[OtlpReceiver]:
    async with receiving() as receiver:
        yield receiver


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Returns what was logged about the sending of spans, at its level."""
    about = (record for record in caplog.records if record.name.startswith(("opentelemetry", "services.tracing")))
    return [f"{record.levelname}: {record.getMessage()}" for record in about]


def export_to(address: str) -> Export:
    return Export(TracingSettings(exporter_otlp_endpoint=f"http://{address}"), "test", most=MOST, every_s=0.1)


def make_spans(number: int) -> None:
    for _ in range(number):
        spans.entry("work", Kind.INTERNAL).end()


async def stopped(export: Export) -> float:
    """Ends an export, and returns how long that took, in seconds."""
    began = monotonic()
    await asyncio.to_thread(export.stop)
    return monotonic() - began


async def test_spans_arrive_with_the_name_of_their_process_and_the_last_ones_at_its_end(
    collector: OtlpReceiver,
) -> None:
    settings = TracingSettings.from_environment(
        collector.environment(OTEL_SERVICE_NAME="mine", OTEL_RESOURCE_ATTRIBUTES="a=b,service.name=another")
    )
    export = Export(settings, "test")
    try:
        make_spans(3)
        await collector.until(lambda found: len(found) == 3)
        make_spans(700)
    finally:
        await stopped(export)
    assert len(collector.spans) == 703 and {span.service for span in collector.spans} == {"mine"}
    make_spans(1)
    assert not spans.is_on()


async def test_a_collector_that_is_away_costs_a_line(caplog: pytest.LogCaptureFixture) -> None:
    export = export_to(f"127.0.0.1:{fresh_port()}")
    try:
        make_spans(3 * MOST)
        assert export.waiting <= MOST
    finally:
        took_s = await stopped(export)
    assert took_s < STOPPED_S
    assert len(said(caplog)) <= 2 and all(line.startswith("WARNING") for line in said(caplog))


async def test_a_collector_that_refuses_costs_a_line_until_it_takes_them_again(
    collector: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    collector.refuses = grpc.StatusCode.PERMISSION_DENIED
    export = export_to(collector.address)
    try:
        for calls in range(3):
            make_spans(1)
            async with asyncio.timeout(30):
                while collector.calls <= calls:  # noqa: ASYNC110  It notes no event.
                    await asyncio.sleep(0.01)
        collector.refuses = None
        make_spans(1)
        await collector.until(lambda found: len(found) == 1)
    finally:
        await stopped(export)
    first, second = said(caplog)
    assert first.startswith("WARNING") and "PERMISSION_DENIED" in first
    assert second == "WARNING: spans were lost"


async def test_a_slow_collector_delays_neither_work_nor_the_end(collector: OtlpReceiver) -> None:
    collector.open.clear()
    export = export_to(collector.address)
    try:
        make_spans(1)
        async with asyncio.timeout(30):
            while not collector.calls:  # noqa: ASYNC110  It notes no event.
                await asyncio.sleep(0.01)
        make_spans(3 * MOST)
        assert export.waiting == MOST
    finally:
        took_s = await stopped(export)
    assert took_s < STOPPED_S and collector.spans == []


async def test_what_finds_no_room_is_counted_in_a_line_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    sent, go_on, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()

    def send(_: object) -> bool:
        loop.call_soon_threadsafe(sent.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(60)
        return True

    queue, provider = SpanQueue(send, most=5, every_s=0.01), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    tracer = provider.get_tracer("test")
    try:
        tracer.start_span("first").end()
        await sent.wait()
        for _ in range(12):
            tracer.start_span("more").end()
        assert queue.waiting == 5
        go_on.set()
        async with asyncio.timeout(30):
            while not caplog.records:  # noqa: ASYNC110  A log sends no event.
                await asyncio.sleep(0.001)
    finally:
        await asyncio.to_thread(queue.stop, 30, lambda: None)
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["no_room"], vars(record)["not_sent"]) == ("spans were lost", 7, 0)
    assert queue.waiting == 0


async def test_a_process_with_a_slow_collector_serves_and_ends_as_ever(
    collector: OtlpReceiver, database: str, tmp_path: Path
) -> None:
    collector.open.clear()
    settings = {
        "I2V_DATABASE_URL": database,
        "I2V_DATA": str(tmp_path),
        "I2V_TRITON": "",
        "I2V_DEV_KEY_FILE": str(tmp_path / "dev-key"),
        "I2V_DRAIN_S": "0",
        **collector.environment(),
    }
    log = tmp_path / "log"
    async with program("services.orchestrator", "api", log=log, prefix="I2V_", **settings) as api:
        async with AsyncClient(api.address, (tmp_path / "dev-key").read_text().strip(), "ann") as i2v:
            for _ in range(20):
                await i2v.usage()
        async with asyncio.timeout(30):
            while not collector.calls:  # noqa: ASYNC110  It notes no event.
                await asyncio.sleep(0.01)
        assert await api.stop() == 0
    found = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    about = [line for line in found if line["logger"].startswith(("opentelemetry", "services.tracing"))]
    assert [line["message"] for line in about] == ["the last spans were lost"]
