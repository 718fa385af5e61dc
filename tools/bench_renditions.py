"""The time of a poster and the thumbnails of a video, compared with decoding its first frame: a row in Markdown.

Run `python -m tools.bench_renditions`. It takes a few seconds, with an embedded PostgreSQL and blobs in a folder.
"""

import asyncio
import hashlib
import io
import statistics
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from prometheus_client import CollectorRegistry

from services.orchestrator.assets.renditions import OnDemandRenditions
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.rendition import Variant
from services.orchestrator.media.probe import probe
from services.orchestrator.media.rendition_maker import SandboxedRenditions
from services.orchestrator.media.video_writer import VideoWriter
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.store.database import migrate
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue

WIDTH, HEIGHT, FPS, FRAMES = 832, 480, 16, 80
ROUNDS = 15
MOST_MS = 150.0
CALLER = Caller("bench", "bench", Plan("bench", ()))


def a_video() -> bytes:
    """Returns 5 s at 480p, as busy as a film is, by a fixed seed."""
    noise = np.random.default_rng(1).normal(0, 8, (HEIGHT, WIDTH, 1))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    writer = VideoWriter(WIDTH, HEIGHT, FPS)
    for number in range(FRAMES):
        waves = (
            128 + 90 * np.sin((x + 4 * number) / 35),
            128 + 90 * np.cos((y - 3 * number) / 25),
            40 + (x + y) * 0.15,
        )
        writer.add((np.stack(waves, -1) + np.roll(noise, 4 * number, 1)).clip(0, 255).astype(np.uint8)[None])
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        writer.finish(Path(file.name))
        return Path(file.name).read_bytes()


async def measure(folder: Path, url: str) -> tuple[list[float], list[float]]:
    """Returns the milliseconds of both: ours, from the request to the stored renditions, and the floor."""
    await asyncio.to_thread(migrate, url)
    store = PostgresStore(url, clock=SystemClock(), queue=Queue("none", "none", "none"))
    await store.start()
    blobs, meter = LocalBlobs(folder / "blobs"), PrometheusMeter(CollectorRegistry())
    renditions = OnDemandRenditions(
        store.renditions, SandboxedRenditions(), store.assets, blobs, SystemClock(), meter, folder
    )
    ours, floor = [], []
    try:
        await store.tenants.put("bench", "bench", "0" * 64)
        video = await asyncio.to_thread(a_video)
        for number in range(ROUNDS + 1):
            data = video + (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big")  # another digest, same frames
            asset = await _stored(store, blobs, folder, data)
            began = time.perf_counter()
            await renditions.get(asset, Variant.POSTER)
            await renditions.get(asset, Variant.THUMBNAIL_256)
            ours.append(1000 * (time.perf_counter() - began))
            floor.append(await asyncio.to_thread(_floor_ms, data))
    finally:
        await store.stop()
        await blobs.close()
    return ours[1:], floor[1:]  # the first starts the child


async def _stored(store: PostgresStore, blobs: LocalBlobs, folder: Path, data: bytes) -> Asset:
    file = folder / "video.mp4"
    file.unlink(missing_ok=True)
    file.write_bytes(data)
    info = await asyncio.to_thread(probe, file)
    asset = Asset("bench", "bench", hashlib.sha256(data).hexdigest(), len(data), info, SystemClock().now())
    await blobs.put_file(asset.key, file, media_type="video/mp4")
    return await store.assets.put(asset, CALLER)


def _floor_ms(data: bytes) -> float:
    began = time.perf_counter()
    with av.open(io.BytesIO(data), "r") as container:
        next(container.decode(video=0)).to_ndarray(format="rgb24")
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    """Prints the row."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as name:
        postgres = EmbeddedPostgres(Path(name) / "postgres")
        try:
            ours, floor = asyncio.run(measure(Path(name), postgres.url))
        finally:
            postgres.close()
    median, sign = statistics.median(ours), "✓" if statistics.median(ours) <= MOST_MS else "✗"
    found = f"{median:.0f} ms (PyAV decoding the first frame alone: {statistics.median(floor):.0f} ms)"
    what = f"Poster and thumbnails of a 5 s 480p video, made and stored, median of {ROUNDS}"
    print(f"| {what} | {found} | ≤ {MOST_MS:.0f} ms | {sign} |")


if __name__ == "__main__":
    main()
