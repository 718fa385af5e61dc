"""Streams that never end by themselves: they connect again and go on, each event once."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, closing

import grpc
from i2v.v1 import job_pb2, job_pb2_grpc, usage_pb2, usage_pb2_grpc

from i2v_client.errors import Unreachable
from i2v_client.failure import Failure
from i2v_client.retry import RetryPolicy
from i2v_client.service_channel import ServiceChannel

ENDED = (job_pb2.Job.SUCCEEDED, job_pb2.Job.FAILED, job_pb2.Job.CANCELLED)
TERMINAL = ("succeeded", "failed", "cancelled")
"""The events that end a job."""
OnOutage = Callable[[Unreachable], None] | None
OnHeartbeat = Callable[[job_pb2.Heartbeat], None] | None


async def job_events(
    channel: ServiceChannel,
    jobs: "job_pb2_grpc.JobServiceAsyncStub",
    name: str,
    after: int,
    retry_for_s: float | None,
    on_outage: OnOutage,
    on_heartbeat: OnHeartbeat,
) -> AsyncGenerator[job_pb2.JobEvent, None]:
    """Yields a job's events after a sequence number, and ends after the terminal one. Raises I2VError."""
    with closing(_retry(channel, retry_for_s, on_outage)) as retry:
        while True:
            request = job_pb2.WatchJobRequest(name=name, after_sequence=after)
            try:
                async with aclosing(channel.stream(jobs.WatchJob, request)) as responses:
                    async for response in responses:
                        retry.contact()
                        if on_heartbeat is not None and response.WhichOneof("response") == "heartbeat":
                            on_heartbeat(response.heartbeat)
                        if response.WhichOneof("response") == "event" and response.event.sequence > after:
                            after = response.event.sequence
                            yield response.event
                            if response.event.WhichOneof("event") in TERMINAL:
                                return
            except Unreachable as error:
                await retry.wait(error)
            else:
                # No error and no terminal event: the job had ended before, or a proxy closed the stream.
                job = await channel.call(jobs.GetJob, job_pb2.GetJobRequest(name=name))
                if job.state in ENDED and job.last_sequence <= after:
                    return
                await retry.wait(_ended_early())


async def usage_changes(
    channel: ServiceChannel,
    usage: "usage_pb2_grpc.UsageServiceAsyncStub",
    retry_for_s: float | None,
    on_outage: OnOutage,
) -> AsyncGenerator[usage_pb2.WatchUsageResponse, None]:
    """Yields the state of the limits, then their changes and warnings, without end. Raises I2VError."""
    with closing(_retry(channel, retry_for_s, on_outage)) as retry:
        while True:
            try:
                async with aclosing(channel.stream(usage.WatchUsage, usage_pb2.WatchUsageRequest())) as responses:
                    async for response in responses:
                        retry.contact()
                        if response.WhichOneof("response") != "heartbeat":
                            yield response
            except Unreachable as error:
                await retry.wait(error)
            else:
                await retry.wait(_ended_early())


def _retry(channel: ServiceChannel, retry_for_s: float | None, on_outage: OnOutage) -> RetryPolicy:
    most_s = channel.retry_for_s if retry_for_s is None else retry_for_s
    return RetryPolicy(most_s, on_outage=on_outage, connected=channel.is_connected)


def _ended_early() -> Unreachable:
    return Unreachable(Failure(grpc.StatusCode.UNAVAILABLE, "The stream ended early."))
