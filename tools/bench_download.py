"""A Range download of an asset over HTTP, and as the floor the same range of the same file from a bare uvicorn.

`python -m tools.bench_download` prints the row. `python -m tools.bench_download FOLDER PORT` is the bare server.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
from i2v.v1 import asset_pb2_grpc

from tools.bench_service import FILE_BYTES, MIB, Row, large_video, upload
from tools.bench_sse import studio
from tools.bench_watch import CARD
from tools.stack import Orchestrator
from tools.stack_process import HOST, StackProcess, free_port

ROUNDS = 5
FIRST = 1000
"""First byte of the range, which goes to the end of the file."""
WANTED = 0.5


def measure() -> Iterator[Row]:
    """Yields the row; half a minute."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder, ExitStack() as stack:
        cards, port = Path(folder) / "models.toml", free_port()
        cards.write_text(CARD)
        server = stack.enter_context(
            Orchestrator(
                Path(folder), "127.0.0.1:9", port=free_port(), metrics_port=free_port(), role="api", cards=cards
            )
        )
        stack.enter_context(studio(Path(folder), server.address, port))
        files = Path(folder) / "files"
        files.mkdir()
        bare = free_port()
        stack.enter_context(_bare(files, bare))
        yield asyncio.run(_row(server, port, bare, large_video(files)))


async def _row(server: Orchestrator, port: int, bare: int, file: Path) -> Row:
    key = server.key_file.read_text().strip()
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = asset_pb2_grpc.AssetServiceStub(channel)
        asset = await upload(stub, file, (("authorization", f"Bearer {key}"),))
    ours, floor = [], []
    for _ in range(ROUNDS):  # in turn, so that a slow moment of the machine meets both
        floor.append(await _read(bare, f"/{file.name}", ""))
        ours.append(await _read(port, f"/v1/{asset.name}/content", key))
    ratio = statistics.median(own / plain for own, plain in zip(ours, floor, strict=True))
    speeds = f"{statistics.median(ours):.0f} of {statistics.median(floor):.0f} MiB/s"
    what = f"Range download of {FILE_BYTES // MIB} MiB over HTTP, compared with a file response of a bare uvicorn"
    return Row(what, f"{ratio:.2f} ({speeds})", f"≥ {WANTED}", ratio >= WANTED)


async def _read(port: int, path: str, key: str) -> float:
    """Returns MiB per second."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(HOST, port, limit=4 * MIB)
    head = f"GET {path} HTTP/1.1\r\nHost: studio\r\nRange: bytes={FIRST}-\r\nConnection: close\r\n"
    writer.write(f"{head}Authorization: Bearer {key}\r\n\r\n".encode())
    status = await reader.readuntil(b"\r\n\r\n")
    assert b" 206 " in status, status
    size = 0
    while data := await reader.read(MIB):
        size += len(data)
    writer.close()
    assert size == FILE_BYTES - FIRST, size
    return size / MIB / (time.perf_counter() - began)


def _bare(folder: Path, port: int) -> StackProcess:
    """Returns a bare uvicorn that answers with the files of a folder; as a context manager it runs."""
    return StackProcess(
        "bare",
        "tools.bench_download",
        str(folder),
        str(port),
        log=folder.parent / "bare.log",
        ports={"HTTP": port},
        environment=os.environ,
        speaks_grpc=False,
    )


def main() -> int:
    """Prints the row, or serves files."""
    if len(sys.argv) > 1:
        _serve(Path(sys.argv[1]), int(sys.argv[2]))
        return 0
    rows = list(measure())
    for row in rows:
        print(f"{'ok  ' if row.met else 'MISS'} {row.what}: {row.measured}, wanted {row.wanted}")
    return 0 if all(row.met for row in rows) else 1


def _serve(folder: Path, port: int) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import FileResponse
    from starlette.routing import Route

    async def answer(request: Request) -> FileResponse:
        return FileResponse(folder / request.path_params["name"])

    uvicorn.run(Starlette(routes=[Route("/{name}", answer)]), host=HOST, port=port, log_level="warning")


if __name__ == "__main__":
    sys.exit(main())
