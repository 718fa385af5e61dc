"""Measures what the Python client costs: its import, and a call through it, each next to a floor of the same run.

`python -m tools.bench_client` prints a table. The floors are the import of gRPC, and a call with a bare stub to the
same server, which answers at once from another process.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import grpc
from i2v.v1 import job_pb2, job_pb2_grpc

from i2v_client import AsyncClient, Client

IMPORTS = {
    "grpc": "import grpc",
    "the stubs": "import grpc; from i2v.v1 import asset_pb2_grpc, catalog_pb2_grpc, job_pb2_grpc, usage_pb2_grpc",
    "i2v_client": "import i2v_client",
}
"""What a fresh process loads."""
LOAD = """
import resource, time
began = time.perf_counter()
{statement}
took = time.perf_counter() - began
rows = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(took, int(rows["VmRSS"].split()[0]) / 1024)
"""
METADATA = (("authorization", "Bearer key"),)
REQUEST = job_pb2.GetJobRequest(name="jobs/7")


async def answer(request: job_pb2.GetJobRequest, context: object) -> job_pb2.Job:
    """Returns a job at once."""
    return job_pb2.Job(name=request.name)


async def serve() -> None:
    """Serves until it is ended, and prints its port."""
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(
        answer, job_pb2.GetJobRequest.FromString, job_pb2.Job.SerializeToString
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("i2v.v1.JobService", {"GetJob": method})])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


def imports(rounds: int) -> None:
    """Prints the median seconds and the memory of each import, in processes of their own, in turn."""
    found: dict[str, list[list[float]]] = {name: [] for name in IMPORTS}
    for _ in range(rounds):
        for name, statement in IMPORTS.items():
            program = [sys.executable, "-c", LOAD.format(statement=statement)]
            done = subprocess.run(program, capture_output=True, text=True, check=True)
            found[name].append([float(each) for each in done.stdout.split()])
    for name, measured in found.items():
        seconds, megabytes = (statistics.median(column) for column in zip(*measured, strict=True))
        print(f"import of {name:12} {seconds:6.3f} s {megabytes:7.1f} MB")


async def asynchronous(address: str, calls: int, turns: int) -> None:
    """Prints the median microseconds of a call, one after another, with a bare stub and with `AsyncClient`."""
    async with grpc.aio.insecure_channel(address) as channel, AsyncClient(address, "key") as client:
        stub: Any = job_pb2_grpc.JobServiceStub(channel)

        async def bare() -> None:
            await stub.GetJob(REQUEST, metadata=METADATA, timeout=30)

        async def ours() -> None:
            await client.get("jobs/7")

        async def seconds(call: Callable[[], Awaitable[None]]) -> float:
            began = perf_counter()
            for _ in range(calls):
                await call()
            return (perf_counter() - began) / calls

        found = [(await seconds(bare), await seconds(ours)) for _ in range(turns)]
    _print("asyncio", found)


def waiting(address: str, calls: int, turns: int) -> None:
    """Prints the same of a program without an event loop, with gRPC's blocking stub and with `Client`."""
    with grpc.insecure_channel(address) as channel, Client(address, "key") as client:
        stub: Any = job_pb2_grpc.JobServiceStub(channel)

        def seconds(call: Callable[[], object]) -> float:
            began = perf_counter()
            for _ in range(calls):
                call()
            return (perf_counter() - began) / calls

        def bare() -> object:
            return stub.GetJob(REQUEST, metadata=METADATA, timeout=30)

        found = [(seconds(bare), seconds(lambda: client.get("jobs/7"))) for _ in range(turns)]
    _print("without", found)


def _print(kind: str, found: list[tuple[float, float]]) -> None:
    bare, ours = (statistics.median(column) * 1e6 for column in zip(*found, strict=True))
    added = statistics.median(one - floor for floor, one in found) * 1e6
    print(f"a call, {kind:8} {ours:6.0f} µs, bare stub {bare:6.0f} µs: {added:+.0f} µs")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="only serve; for the measurement's own use")
    parser.add_argument("--calls", type=int, default=500, help="in a turn")
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return
    server = subprocess.Popen([sys.executable, "-m", "tools.bench_client", "--serve"], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        address = f"127.0.0.1:{json.loads(server.stdout.readline())}"
        imports(arguments.turns)
        asyncio.run(asynchronous(address, arguments.calls, arguments.turns))
        waiting(address, arguments.calls, arguments.turns)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
