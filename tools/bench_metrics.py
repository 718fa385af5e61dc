"""What metrics cost: `python -m tools.bench_metrics`; about two minutes.

Submissions with and without metrics, in turn, in one process: the processor time of each. And the time and the size of
a scrape of a process that has seen 200 tenants and 50 models.
"""

import asyncio
import gzip
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from urllib.request import Request, urlopen

from prometheus_client import CollectorRegistry

from services.metrics.endpoint import MetricsEndpoint
from services.orchestrator.domain.event import JobError, VideoOutput
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.spec import Size, Spec, TextToVideo
from services.orchestrator.library_metrics import LibraryMetrics
from services.orchestrator.meters.engine_metrics import EngineMetrics
from services.orchestrator.metrics import PrometheusMeter
from services.reasons import REASONS
from services.rpc.client_metrics import ClientMethod, ClientMetrics
from services.rpc.telemetry import KINDS, ServerMetrics
from tools.bench_service import PLANS, Row
from tools.bench_submit import service
from tools.stack import Orchestrator
from tools.stack_process import free_port

TENANTS, MODELS, METHODS, REASONS_EACH = 200, 50, 44, 3
ROUNDS, SUBMISSIONS, AT_A_TIME, WARM_UP = 300, 60, 16, 500
SCRAPES = 15
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def main() -> int:
    """Prints the rows. Returns the exit code: 1 if one misses its target."""
    found = [*scrape(), *asyncio.run(submissions())]
    for row in found:
        sys.stdout.write(f"| {row.what} | {row.measured} | {row.wanted} | {'✓' if row.met else '✗'} |\n")
    return 0 if all(row.met for row in found) else 1


async def submissions() -> Sequence[Row]:
    """Returns what metrics add to a submission."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder:
        orchestrator = Orchestrator(
            Path(folder),
            "127.0.0.1:9",
            port=free_port(),
            metrics_port=free_port(),
            role="api",
            module="tools.switched_orchestrator",
            more={"I2V_PLANS_FILE": str(PLANS)},
        )
        with orchestrator as server:
            # The process that was started supervises the server.
            pid = int(Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0])
            who = (("authorization", f"Bearer {server.key_file.read_text().strip()}"),)
            async with service(server, [who]) as submit:
                turns = asyncio.Semaphore(AT_A_TIME)

                async def one() -> None:
                    async with turns:
                        await submit()

                async def many(count: int) -> float:
                    """Returns the server's processor time of a submission, in milliseconds."""
                    before = _processor_s(pid)
                    await asyncio.gather(*(one() for _ in range(count)))
                    return (_processor_s(pid) - before) / count * 1000

                await many(WARM_UP)
                with_them: list[float] = []
                without: list[float] = []
                for number in range(ROUNDS):
                    order = ((signal.SIGUSR1, without), (signal.SIGUSR2, with_them))
                    for switch, times in order if number % 2 else order[::-1]:
                        os.kill(pid, switch)
                        times.append(await many(SUBMISSIONS))
    differences = [a - b for a, b in zip(with_them, without, strict=True)]
    added, base = statistics.median(differences), statistics.median(without)
    low, _, high = (f"{each / base:+.1%}" for each in statistics.quantiles(differences, n=4))
    what = "Processor time of the service for a submission with metrics, compared with none"
    measured = f"{added / base:+.1%} ({statistics.median(with_them):.3f} ms, {base:.3f} ms; quartiles {low}, {high})"
    alone_us = _alone_us()
    share = alone_us / base / 1000
    return [
        Row(what, measured, "≤ 1 %", added / base <= 0.01),
        Row("What is counted for a submission, alone", f"{alone_us:.1f} µs, {share:.1%}", "≤ 1 %", share <= 0.01),
    ]


def _alone_us() -> float:
    """Returns the microseconds of what a submission counts: a steadier figure than the difference."""
    registry = CollectorRegistry()
    meter, method = PrometheusMeter(registry), ServerMetrics(registry).method("/i2v.v1.JobService/SubmitJob", "unary")
    job, times = _job("nano", "tenant"), []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(SUBMISSIONS):
            method.started.inc()
            method.received(200)
            meter.admitted(job)
            method.sent.inc()
            method.sent_bytes.inc(300)
            method.handled("OK", 0.002)
        times.append((time.process_time() - began) / SUBMISSIONS * 1e6)
    return statistics.median(times)


def _job(model: str, tenant: str) -> Job:
    now = datetime.now(UTC)
    spec = replace(Spec(model=model, operation=TextToVideo("a wave"), seed=1), duration_ms=5000)
    return Job(
        id="", tenant=tenant, user="", request_id="", spec=spec, quote_micros=1000, price_micros=1000,
        create_time=now, expire_time=now + timedelta(hours=1), end_time=now + timedelta(seconds=20),
    )  # fmt: skip


def _processor_s(pid: int) -> float:
    """Returns the processor time of a process so far, of all its threads, to the nanosecond."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def scrape() -> Sequence[Row]:
    """Returns the time and the size of a scrape."""
    registry = CollectorRegistry()
    _fill(registry)
    endpoint = MetricsEndpoint("127.0.0.1:0", registry)
    try:
        plain = _scraped(endpoint.port, {})
        asked = _scraped(endpoint.port, {"Accept": OPENMETRICS, "Accept-Encoding": "gzip"})
    finally:
        endpoint.close()
    what = f"A scrape with {TENANTS} tenants and {MODELS} models"
    return [
        Row(
            f"{what}: time",
            f"{plain.median_ms:.0f} ms, of it {plain.processor_ms:.0f} of the processor; OpenMetrics, compressed "
            f"{asked.median_ms:.0f} ms, {asked.processor_ms:.0f}",
            "≤ 50 ms",
            plain.median_ms <= 50,
        ),
        Row(
            f"{what}: size",
            f"{plain.size / 1000:.0f} kB; OpenMetrics, compressed {asked.size / 1000:.0f} kB",
            "≤ 500 kB",
            plain.size <= 500_000,
        ),
    ]


@dataclass(frozen=True)
class Scraped:
    """What scrapes of one form took."""

    median_ms: float
    processor_ms: float
    """Of this process, which is both sides."""
    size: int
    """As they were sent."""


def _scraped(port: int, headers: dict[str, str]) -> Scraped:
    times, processor = [], time.process_time()
    for _ in range(SCRAPES):
        began = time.perf_counter()
        with urlopen(Request(f"http://127.0.0.1:{port}/metrics", headers=headers)) as answer:
            data = answer.read()
        times.append((time.perf_counter() - began) * 1000)
    processor_ms = (time.process_time() - processor) / SCRAPES * 1000
    assert b"i2v_tenant" in (gzip.decompress(data) if "Accept-Encoding" in headers else data)
    return Scraped(statistics.median(times), processor_ms, len(data))


def _fill(registry: CollectorRegistry) -> None:
    """Counts what a process of the role `all` counts when it has run jobs of all tenants by all models."""
    meter, server, client = PrometheusMeter(registry, TENANTS), ServerMetrics(registry), ClientMetrics(registry)
    engines = EngineMetrics(registry)
    LibraryMetrics(registry)
    reasons = [str(reason) for reason in REASONS][:REASONS_EACH]
    names = [f"local-model-{number}" for number in range(MODELS)]
    for model, tenant in ((names[n % MODELS], f"tenant-{n:03}") for n in range(max(TENANTS, MODELS))):
        output = VideoOutput("0" * 64, Size(832, 480), 81, 16.0, 5000, 1_000_000)
        job = _job(model, tenant)
        meter.admitted(job)
        meter.started(job, 1.0)
        meter.first_fragment(job, 2.0)
        meter.fragment(job, early=True)
        meter.ended(made := replace(job, state=State.SUCCEEDED, output=output, charged_micros=1000))
        meter.made(made, 4.0)
        meter.ended(replace(job, state=State.CANCELLED, charged_micros=0))
        for reason in reasons:
            error = JobError(reason, "", retryable=False)
            meter.ended(replace(job, state=State.FAILED, charged_micros=0, error=error))
    engine = engines.of("triton", "10.0.0.1:8001")
    for model in names[:5]:  # local ones; the others are vendors'
        engine.block(model, 0.1)
        engine.decoded(model, 0.1, 12)
        engine.encoded(model, 0.1, 12)
    for number, kind in product(range(METHODS // len(KINDS)), KINDS.values()):
        server.method(f"/i2v.v1.SomeService{number}/SomeMethod", kind).handled("OK", 0.01)
    for number in range(8):
        ClientMethod(client, f"/i2v.provider.v1.ProviderService/Method{number}", "unary")


if __name__ == "__main__":
    sys.exit(main())
