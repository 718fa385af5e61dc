"""The cost of an upload, and its effect on other calls: rows of tools.bench_service."""

import asyncio
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from i2v.v1 import asset_pb2, asset_pb2_grpc
from PIL import Image

from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from tools import bench_submit
from tools.bench_service import CHUNK, Row
from tools.stack import Orchestrator

PICTURE_BYTES = 10_000_000
ROUNDS = 9
UPLOADS = 20
UPLOAD_ROUNDS = 3
RATE, SECONDS = 100.0, 4.0
REST_S = 4.0
"""Time for the server to finish pictures whose senders are gone."""

Who = tuple[tuple[str, str], ...]


async def rows(server: Orchestrator, who: Who) -> list[Row]:
    """Returns two rows: a large picture compared with its floor, and submissions during uploads."""
    folder = server.key_file.parent  # the floor is written where the server writes
    picture = a_photograph()
    async with grpc.aio.insecure_channel(server.address) as channel:
        assets = asset_pb2_grpc.AssetServiceStub(channel)
        (folder / "photograph").write_bytes(picture)
        return [
            await _accepted(assets, who, picture, folder),
            await _during_uploads(server, who, folder / "photograph"),
        ]


def a_photograph(size: int = PICTURE_BYTES) -> bytes:
    """Returns a JPEG of nearly this size, as busy as photographs are, by a fixed seed."""
    noise = np.random.default_rng(1)
    slope = np.linspace(40, 215, 6000, dtype=np.float32)[None, :, None]
    pixels = (slope + noise.normal(0, 14, (4000, 6000, 1)).astype(np.float32)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(np.repeat(pixels, 3, axis=2))
    best = b""
    for quality in range(60, 96):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, subsampling=2)
        if len(file.getvalue()) > size:
            break
        best = file.getvalue()
    return best


async def _accepted(stub: Any, who: Who, picture: bytes, folder: Path) -> Row:
    await _upload(stub, picture, who)
    ours, floor = [], []
    for _ in range(ROUNDS):  # in turn, so that a slow moment of the machine meets both
        floor.append(await asyncio.to_thread(_floor, picture, folder / "bare"))
        began = time.perf_counter()
        await _upload(stub, picture, who)
        ours.append(time.perf_counter() - began)
    ratio = statistics.median(own / bare for own, bare in zip(ours, floor, strict=True))
    return Row(
        f"A picture of {len(picture) / 1e6:.1f} MB accepted, compared with Pillow's decoding and a copy with fsync",
        f"{ratio:.2f} ({statistics.median(ours) * 1000:.0f} of {statistics.median(floor) * 1000:.0f} ms)",
        "≤ 1.5",
        ratio <= 1.5,
    )


def _floor(picture: bytes, copy: Path) -> float:
    began = time.perf_counter()
    with Image.open(io.BytesIO(picture)) as image:
        image.load()
    with copy.open("wb") as file:
        file.write(picture)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began


async def _during_uploads(server: Orchestrator, who: Who, picture: Path) -> Row:
    """Measures SubmitJob with and without uploads, and, in the same conditions, the same rows by psycopg alone."""
    alone, loaded, floor_alone, floor_loaded = [], [], [], []
    async with AsyncExitStack() as stack:
        postgres = EmbeddedPostgres(server.key_file.parent / "postgres")
        stack.callback(postgres.close)
        submit = await stack.enter_async_context(bench_submit.service(server, [who]))
        write = await stack.enter_async_context(bench_submit.psycopg_alone(postgres.url, [bench_submit.TENANT]))
        for side in (submit, write):
            await _p99_ms(side)
        for _ in range(UPLOAD_ROUNDS):
            await asyncio.sleep(REST_S)
            alone.append(await _p99_ms(submit))
            floor_alone.append(await _p99_ms(write))
            with _uploading(server, picture):
                loaded.append(await _p99_ms(submit))
                floor_loaded.append(await _p99_ms(write))
    ratio = statistics.median(busy / free for busy, free in zip(loaded, alone, strict=True))
    floor = statistics.median(busy / free for busy, free in zip(floor_loaded, floor_alone, strict=True))
    times = f"{statistics.median(loaded):.1f} of {statistics.median(alone):.1f} ms"
    floor_times = f"{statistics.median(floor_loaded):.1f} of {statistics.median(floor_alone):.1f} ms"
    return Row(
        f"SubmitJob at {RATE:.0f}/s, 99th percentile, while {UPLOADS} uploads run, compared with none",
        f"{ratio:.1f} ({times}); the same rows by psycopg alone {floor:.1f} ({floor_times})",
        "≤ 2",
        ratio <= 2,
    )


@contextmanager
def _uploading(server: Orchestrator, picture: Path) -> Iterator[None]:
    """Uploads continuously from another process, so that only the server is shared."""
    command = [sys.executable, "-m", "tools.bench_uploads", server.address, str(server.key_file), str(picture)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for _ in range(UPLOADS):  # so many pictures have been stored: the initial load is over
            process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()


async def _upload_all_the_time(address: str, key: str, picture: bytes) -> None:
    async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as group:
        stub = asset_pb2_grpc.AssetServiceStub(channel)

        async def upload(user: int) -> None:
            while True:
                try:
                    await _upload(stub, picture, (("authorization", f"Bearer {key}"), ("i2v-user", f"user-{user}")))
                    print(user, flush=True)
                except grpc.aio.AioRpcError:  # more than one tenant may; gRPC reports an early answer in several ways
                    await asyncio.sleep(0.1)

        for user in range(UPLOADS):
            group.create_task(upload(user))


async def _p99_ms(one: bench_submit.Submit) -> float:
    times = sorted(await bench_submit.paced(one, SECONDS))
    return times[int(len(times) * 0.99)]


async def _upload(stub: Any, picture: bytes, who: Who) -> None:
    async def parts() -> AsyncIterator[asset_pb2.WriteAssetRequest]:
        yield asset_pb2.WriteAssetRequest(
            header=asset_pb2.WriteAssetHeader(media_type="image/*", size_bytes=len(picture))
        )
        for at in range(0, len(picture), CHUNK):
            yield asset_pb2.WriteAssetRequest(data=picture[at : at + CHUNK])

    await stub.WriteAsset(parts(), metadata=who)


if __name__ == "__main__":
    address, key, photograph = sys.argv[1:]
    asyncio.run(_upload_all_the_time(address, Path(key).read_text().strip(), Path(photograph).read_bytes()))
