"""What the HTTP face adds to a call: `python -m tools.bench_http`; about a minute.

Submissions and reads over HTTP and by a bare stub, in turn, at the same API: what HTTP adds to the median. Then
submissions flat out over HTTP, by the stub, and the same requests at a bare uvicorn that answers with a job of the same
size: the two floors.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import uvicorn
from i2v.v1 import job_pb2, job_pb2_grpc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tools.bench_service import PLANS, Row
from tools.stack import Orchestrator, start_studio
from tools.stack_process import HOST, free_port

PAIRS, WARM_UP = 400, 100
SECONDS, AT_A_TIME = 5.0, 24
PACE_S = 0.01
"""Between two calls of a pair, so that neither side waits for the work that the other has left."""
SPEC = {"model": "nano", "textToVideo": {"prompt": "a wave"}, "duration": "1s", "seed": "1"}

Call = Callable[[], Awaitable[object]]


class Connection:
    """One connection of HTTP that is kept, with as little work of its own as possible."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        self._reader, self._writer = reader, writer
        self._head = f" HTTP/1.1\r\nHost: i2v\r\nAuthorization: Bearer {key}\r\n"

    async def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Returns the body of the response."""
        head = f"{method} {path}{self._head}"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(f"{head}\r\n".encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        found = await self._reader.readexactly(length)
        assert answer.startswith((b"http/1.1 200", b"http/1.1 201")), (answer, found)
        return found


def main() -> int:
    """Prints the rows. Returns the exit code: 1 if one misses its target."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder, ExitStack() as stack:
        orchestrator = Orchestrator(
            Path(folder),
            "127.0.0.1:9",
            port=free_port(),
            metrics_port=free_port(),
            role="api",
            more={"I2V_PLANS_FILE": str(PLANS)},
        )
        server = stack.enter_context(orchestrator)
        port = free_port()
        start_studio(stack, Path(folder), server.address, port)
        found = asyncio.run(rows(server.address, port, server.key_file.read_text().strip()))
    for row in found:
        sys.stdout.write(f"| {row.what} | {row.measured} | {row.wanted} | {'✓' if row.met else '✗'} |\n")
    return 0 if all(row.met for row in found) else 1


async def rows(api: str, port: int, key: str) -> Sequence[Row]:
    """Returns the rows."""
    who = (("authorization", f"Bearer {key}"),)
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(api))
        stub: Any = job_pb2_grpc.JobServiceStub(channel)
        first = await stack.enter_async_context(connected(port, key))
        spec = job_pb2.JobSpec(model="nano", text_to_video=job_pb2.TextToVideo(prompt="a wave"), seed=1)
        spec.duration.seconds = 1

        async def submit() -> Any:
            request = job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=spec)
            return await stub.SubmitJob(request, metadata=who)

        def post(connection: Connection) -> Awaitable[bytes]:
            return connection.call("POST", "/v1/jobs", json.dumps({"spec": SPEC}).encode())

        job = (await submit()).name
        submitted = await pairs(submit, lambda: post(first))
        read = await pairs(
            lambda: stub.GetJob(job_pb2.GetJobRequest(name=job), metadata=who),
            lambda: first.call("GET", f"/v1/{job}"),
        )
        shape = await first.call("GET", f"/v1/{job}")
        # Only now: the server closes connections that send nothing for some seconds.
        http = [await stack.enter_async_context(connected(port, key)) for _ in range(AT_A_TIME)]
        by_http = await flat_out([lambda each=each: post(each) for each in http])  # type: ignore[misc]
        by_stub = await flat_out([submit] * AT_A_TIME)
        bare_port = await stack.enter_async_context(bare(shape))
        bare_http = [await stack.enter_async_context(connected(bare_port, key)) for _ in range(AT_A_TIME)]
        floor = await flat_out([lambda each=each: post(each) for each in bare_http])  # type: ignore[misc]
    return [
        _added("a submission", *submitted, most_ms=5.0),
        _added("a read of a job", *read, most_ms=2.0),
        Row(
            f"Submissions over HTTP, flat out, {AT_A_TIME} at a time, on this machine",
            f"{by_http:.0f}/s (a stub: {by_stub:.0f}/s; a bare uvicorn in the measuring process: {floor:.0f}/s)",
            "≥ 300/s",
            by_http >= 300,
        ),
    ]


async def pairs(bare_call: Call, call: Call) -> tuple[float, float]:
    """Returns the medians of two calls that are made in turn, in milliseconds."""
    for _ in range(WARM_UP):
        await bare_call()
        await call()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(PAIRS):
        for each, side in zip((bare_call, call), times, strict=True):
            await asyncio.sleep(PACE_S)
            began = time.perf_counter()
            await each()
            side.append((time.perf_counter() - began) * 1000)
    return statistics.median(times[0]), statistics.median(times[1])


async def flat_out(calls: Sequence[Call]) -> float:
    """Returns how many calls a second end, each of these repeated for some seconds."""
    ended, until = 0, time.perf_counter() + SECONDS

    async def repeat(call: Call) -> None:
        nonlocal ended
        while time.perf_counter() < until:
            await call()
            ended += 1

    await asyncio.gather(*map(repeat, calls))
    return ended / SECONDS


@asynccontextmanager
async def connected(port: int, key: str) -> AsyncIterator[Connection]:
    """Yields a connection."""
    reader, writer = await asyncio.open_connection(HOST, port)
    yield Connection(reader, writer, key)
    writer.close()


@asynccontextmanager
async def bare(body: bytes) -> AsyncIterator[int]:
    """Yields the port of a uvicorn in this process that reads requests and answers each with the same body."""

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(body, media_type="application/json")

    port = free_port()
    app = Starlette(routes=[Route("/v1/jobs", answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=port, http="h11", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event
        await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await serving


def _added(what: str, bare_ms: float, ms: float, *, most_ms: float) -> Row:
    measured = f"{ms - bare_ms:+.2f} ms ({ms:.2f} ms, {bare_ms:.2f} ms)"
    return Row(
        f"What HTTP adds to {what}, median over a bare stub", measured, f"≤ {most_ms:.0f} ms", ms - bare_ms <= most_ms
    )


if __name__ == "__main__":
    sys.exit(main())
