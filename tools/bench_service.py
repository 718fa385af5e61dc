"""What the platform itself costs: submissions and bytes, over real sockets, against a process of its own."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from i2v.v1 import asset_pb2, asset_pb2_grpc

from tools.stack import Orchestrator
from tools.stack_process import free_port

MEMORY = Path("/dev/shm")
"""A file system in memory, where syncing costs nothing: what is left is our own work."""
MIB = 1 << 20
CHUNK = 512 * 1024
FILE_BYTES = 256 * MIB
PLANS = Path(__file__).parent / "bench_plans.toml"
"""A plan of eight limits."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    wanted: str
    met: bool


def measure() -> Iterator[Row]:
    """Yields the rows as they are measured; a minute or two in all."""
    works = (("disk", None, _submit), ("disk", None, _pictures), ("disk", None, _bytes), ("memory", MEMORY, _bytes))
    for place, parent, work in works:
        if parent is not None and not parent.is_dir():
            continue
        with tempfile.TemporaryDirectory(prefix="i2v-bench-", dir=parent) as folder, ExitStack() as stack:
            server = stack.enter_context(
                Orchestrator(
                    Path(folder),
                    "127.0.0.1:9",
                    port=free_port(),
                    metrics_port=free_port(),
                    role="api",
                    more={"I2V_PLANS_FILE": str(PLANS)},
                )
            )
            yield from asyncio.run(work(server, place))


# --- submissions ----------------------------------------------------------------------------------------------------


async def _submit(server: Orchestrator, place: str) -> list[Row]:
    from tools import bench_submit  # imported here because it imports this module

    return await bench_submit.rows(server, _who(server))


def _who(server: Orchestrator) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {server.key_file.read_text().strip()}"),)


# --- pictures -------------------------------------------------------------------------------------------------------


async def _pictures(server: Orchestrator, place: str) -> list[Row]:
    from tools import bench_uploads  # imported here because it imports this module

    return await bench_uploads.rows(server, _who(server))


# --- bytes ----------------------------------------------------------------------------------------------------------


async def _bytes(server: Orchestrator, place: str) -> list[Row]:
    with _bare_server() as bare, tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder:
        async with grpc.aio.insecure_channel(server.address) as channel, grpc.aio.insecure_channel(bare) as plain:
            stub = asset_pb2_grpc.AssetServiceStub(channel)
            bare_stub = asset_pb2_grpc.AssetServiceStub(plain)
            return await _transfers(stub, bare_stub, large_video(Path(folder)), server, place)


async def _transfers(stub: Any, bare: Any, file: Path, server: Orchestrator, place: str) -> list[Row]:
    memory, who = Memory(server.pid), _who(server)
    down, bare_down = [], []
    asset = await upload(stub, file, who)
    before = memory.peak()
    for _ in range(3):  # in turn, so that a slow moment of the machine meets all of them
        await upload(stub, file, who)
        bare_down.append(await _timed(_download(bare, "", who)))
        down.append(await _timed(_download(stub, asset.name, who)))
    grown = (memory.peak() - before) / MIB

    def ratio(ours: list[float], bare: list[float]) -> float:
        return statistics.median(b / o for o, b in zip(ours, bare, strict=True))

    down_ratio = ratio(down, bare_down)
    mib = FILE_BYTES / MIB
    return [
        Row(
            f"Download of 256 MiB from {place}",
            f"{down_ratio:.2f} of bare"
            f" ({mib / statistics.median(down):.0f} of {mib / statistics.median(bare_down):.0f} MiB/s)",
            "≥ 0.7",
            down_ratio >= 0.7,
        ),
        Row(f"Server's peak memory after 1.5 GiB more, {place}", f"+ {grown:.0f} MiB", "flat", grown < 64),
    ]


def large_video(folder: Path) -> Path:
    """Writes a real, short video with a large `free` box in it: an MP4 of any size that is quick to make."""
    import numpy as np

    from services.orchestrator.media.video_writer import VideoWriter

    path = folder / "large.mp4"
    writer = VideoWriter(64, 64, 16)
    writer.add(np.zeros((16, 64, 64, 3), np.uint8))
    writer.finish(path)
    filler = FILE_BYTES - path.stat().st_size
    with path.open("ab") as opened:
        opened.write(filler.to_bytes(4, "big") + b"free")
        noise = os.urandom(MIB)
        for _ in range((filler - 8) // MIB):
            opened.write(noise)
        opened.write(noise[: (filler - 8) % MIB])
    return path


async def _timed(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def upload(stub: Any, file: Path, who: Any) -> Any:
    """Uploads a video of `FILE_BYTES`. Returns its asset."""

    async def parts() -> AsyncIterator[asset_pb2.WriteAssetRequest]:
        yield asset_pb2.WriteAssetRequest(
            header=asset_pb2.WriteAssetHeader(media_type="video/mp4", size_bytes=FILE_BYTES)
        )
        with file.open("rb") as opened:
            while data := opened.read(CHUNK):
                yield asset_pb2.WriteAssetRequest(data=data)

    return await stub.WriteAsset(parts(), metadata=who)


async def _download(stub: Any, name: str, who: Any) -> None:
    size = 0
    async for answer in stub.ReadAsset(asset_pb2.ReadAssetRequest(name=name), metadata=who):
        size += len(answer.data)
    assert size == FILE_BYTES


class Memory:
    """The peak of a process's resident memory, as the kernel keeps it."""

    def __init__(self, pid: int) -> None:
        # The process that was started supervises the server; the server is its first child.
        self._pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def peak(self) -> int:
        """Bytes."""
        for line in Path(f"/proc/{self._pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the kernel does not report VmHWM")


# --- the bare stream, for comparison --------------------------------------------------------------------------------


@contextmanager
def _bare_server() -> Iterator[str]:
    """The same messages through a grpc.aio server that keeps nothing and asks nothing, in a process of its own."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen([sys.executable, "-m", "tools.bench_service", address])
    try:
        yield address
    finally:
        process.terminate()
        process.wait()


class _Bare:
    """Throws away what comes, and sends bytes from memory."""

    def __init__(self) -> None:
        self._data = os.urandom(MIB)

    async def WriteAsset(self, request_iterator: AsyncIterator[Any], context: object) -> asset_pb2.Asset:
        """Takes everything."""
        async for request in request_iterator:
            _ = request.data
        return asset_pb2.Asset()

    async def GetAsset(self, request: object, context: object) -> asset_pb2.Asset:
        """Knows no asset."""
        return asset_pb2.Asset()

    async def GetRendition(self, request: object, context: object) -> asset_pb2.Rendition:
        """Knows no variant."""
        return asset_pb2.Rendition()

    async def ReadAsset(self, request: object, context: object) -> AsyncIterator[asset_pb2.ReadAssetResponse]:
        """Sends as much as the real one."""
        for _ in range(FILE_BYTES // MIB):
            yield asset_pb2.ReadAssetResponse(data=self._data)


async def _serve_bare(address: str) -> None:
    bare, answer = _Bare(), asset_pb2.Asset.SerializeToString
    handlers: dict[str, Any] = {
        "WriteAsset": grpc.stream_unary_rpc_method_handler(
            bare.WriteAsset, asset_pb2.WriteAssetRequest.FromString, answer
        ),
        "GetAsset": grpc.unary_unary_rpc_method_handler(bare.GetAsset, asset_pb2.GetAssetRequest.FromString, answer),
        "ReadAsset": grpc.unary_stream_rpc_method_handler(
            bare.ReadAsset, asset_pb2.ReadAssetRequest.FromString, asset_pb2.ReadAssetResponse.SerializeToString
        ),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("i2v.v1.AssetService", handlers),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve_bare(sys.argv[1]))
