"""The time of a poster and the thumbnails of a video, unsigned and signed, compared with decoding its first frame.

Prints rows in Markdown.

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
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from services.orchestrator.assets.rendition_signing import RenditionSigning
from services.orchestrator.assets.renditions import OnDemandRenditions
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.rendition import Variant
from services.orchestrator.library_metrics import LibraryMetrics
from services.orchestrator.media.content_credentials import ContentCredentials
from services.orchestrator.media.probe import probe
from services.orchestrator.media.rendition_maker import SandboxedRenditions
from services.orchestrator.media.signing_certificate import development
from services.orchestrator.media.video_writer import VideoWriter
from services.orchestrator.store.database import migrate
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue

WIDTH, HEIGHT, FPS, FRAMES = 832, 480, 16, 80
ROUNDS = 15
MOST_MS = 150.0
MANIFEST = sa.text("""
INSERT INTO manifests (tenant, "user", sha256, body, create_time)
VALUES ('bench', 'bench', :sha256, '{"version": 1, "operation": "text_to_video", "seed": 7}', now())
""")
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


async def measure(folder: Path, url: str) -> tuple[list[float], list[float], list[float]]:
    """Returns milliseconds from the request to the stored renditions, of uploads and of jobs' videos, and the floor."""
    await asyncio.to_thread(migrate, url)
    store = PostgresStore(url, clock=SystemClock(), queue=Queue("none", "none", "none"))
    await store.start()
    blobs, meter = LocalBlobs(folder / "blobs"), LibraryMetrics(CollectorRegistry())
    signing = RenditionSigning(ContentCredentials(development(b"b" * 32), "bench"), store.manifests, meter)
    renditions = OnDemandRenditions(
        store.renditions,
        SandboxedRenditions(),
        store.assets,
        blobs,
        SystemClock(),
        meter,
        folder,
        sign=signing.sign,
    )
    times: dict[bool, list[float]] = {False: [], True: []}
    floor = []
    try:
        await store.tenants.put("bench", "bench", "0" * 64)
        video = await asyncio.to_thread(a_video)
        for number in range(2 * ROUNDS + 2):
            generated = bool(number % 2)
            data = video + (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big")  # another digest, same frames
            asset = await _stored(store, blobs, folder, data)
            if generated:
                async with store.database.writing() as connection:
                    await connection.execute(MANIFEST, {"sha256": asset.sha256})
            began = time.perf_counter()
            await renditions.get(asset, Variant.POSTER)
            await renditions.get(asset, Variant.THUMBNAIL_256)
            times[generated].append(1000 * (time.perf_counter() - began))
            floor.append(await asyncio.to_thread(_floor_ms, data))
    finally:
        await store.stop()
        await blobs.close()
    return times[False][1:], times[True][1:], floor[2:]  # the first of each starts a child


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
    """Prints the rows."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as name:
        postgres = EmbeddedPostgres(Path(name) / "postgres")
        try:
            plain, signed, floor = asyncio.run(measure(Path(name), postgres.url))
        finally:
            postgres.close()
    for ours, how in ((plain, "made and stored"), (signed, "made, signed and stored")):
        median, sign = statistics.median(ours), "✓" if statistics.median(ours) <= MOST_MS else "✗"
        found = f"{median:.0f} ms (PyAV decoding the first frame alone: {statistics.median(floor):.0f} ms)"
        what = f"Poster and thumbnails of a 5 s 480p video, {how}, median of {ROUNDS}"
        print(f"| {what} | {found} | ≤ {MOST_MS:.0f} ms | {sign} |")


if __name__ == "__main__":
    main()
