"""The events of an accepted task, up to the last one: progress while the vendor works, then the video."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from i2v.provider.v1 import provider_pb2 as pb

from services.providers import proto_messages
from services.providers.circuit_breaker import CircuitBreaker
from services.providers.metrics import VendorMeter
from services.providers.stream_heartbeat import Heartbeat, with_heartbeats
from services.providers.system_clock import Clock
from services.providers.task_polling import PollSchedule, poll
from services.providers.task_wakeups import TaskWakeups
from services.providers.vendor import Failed, Finished, Vendor, Working
from services.providers.video_download import Downloader

BEAT_S = 10.0
"""Seconds between two events, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvents:
    """Polls the tasks of one vendor, and downloads their videos."""

    vendor: Vendor
    schedule: PollSchedule
    clock: Clock
    meter: VendorMeter
    breaker: CircuitBreaker
    downloader: Downloader
    wakeups: TaskWakeups

    async def of(self, ref: str, model: str) -> AsyncGenerator[pb.TaskEvent, None]:
        """Yields the events that follow Accepted; the last one is Done or Failed."""
        self.meter.opened()
        try:
            finished: Finished | None = None
            async with aclosing(self._polled(ref, model)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        finished = event
                    else:
                        yield event
            assert finished is not None
            async with aclosing(self._downloaded(finished)) as events:
                async for event in events:
                    yield event
            self.meter.ended(model)
        except Failed as failure:
            self.meter.ended(model, failure.reason, failure.charge.value)
            yield proto_messages.failed(failure)
        finally:
            self.meter.closed()

    async def _polled(self, ref: str, model: str) -> AsyncGenerator[pb.TaskEvent | Finished, None]:
        loop = asyncio.get_running_loop()
        began, reported_at, stage = loop.time(), 0.0, ""
        created: float | None = None
        with self.wakeups.waiting(ref) as wakeup:
            looks = poll(self.vendor, ref, model, schedule=self.schedule, breaker=self.breaker, wakeup=wakeup)
            async with aclosing(with_heartbeats(looks, BEAT_S)) as seen:
                async for item in seen:
                    if isinstance(item, Finished):
                        self.meter.worked(model, loop.time() - began)
                        yield item
                        continue
                    before, now = stage, loop.time()
                    if isinstance(item, Working):
                        stage = item.stage
                        created = item.create_time.timestamp() if item.create_time else created
                    if stage != before or now - reported_at >= BEAT_S or isinstance(item, Heartbeat):
                        reported_at = now
                        elapsed_s = now - began if created is None else self.clock() - created
                        yield proto_messages.progress(stage or "vendor-queue", elapsed_s)

    async def _downloaded(self, finished: Finished) -> AsyncGenerator[pb.TaskEvent, None]:
        loop = asyncio.get_running_loop()
        began = reported_at = loop.time()
        download = self.downloader.start(finished.url)
        yield proto_messages.progress("download", 0.0)
        # Without heartbeats: a task for each chunk would cost more than the chunk. A download reports its pauses.
        async with aclosing(download.chunks()) as chunks:
            async for chunk in chunks:
                if chunk:
                    yield proto_messages.output(chunk)
                now = loop.time()
                if not chunk or now - reported_at >= BEAT_S:
                    reported_at = now
                    total = download.total_bytes
                    fraction = min(1.0, download.size_bytes / total) if total else None
                    yield proto_messages.progress("download", now - began, fraction)
        yield proto_messages.done(download.size_bytes, download.sha256, finished.facts)
