"""Makes the video of a job again, and compares both."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from i2v_client.errors import NotFound
from services.client.frames import first_difference, frame_digests


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two videos of the same spec."""

    frames: int
    """Of the first."""
    different_frame: int | None
    """The first that is not the same, from 0; None: all are the same."""
    unsigned_sha256: tuple[str, str]
    """Of both files before they were signed; empty where it is not known."""

    @property
    def same_frames(self) -> bool:
        """Whether all frames are the same."""
        return self.different_frame is None

    @property
    def same_bytes(self) -> bool | None:
        """Whether the unsigned files are the same; None: it is not known."""
        first, second = self.unsigned_sha256
        return first == second if first and second else None


def spec_again(job: job_pb2.Job) -> job_pb2.JobSpec:
    """Returns the spec of a job as it was made: of its model, also if the capability would choose another one now."""
    spec = job_pb2.JobSpec()
    spec.CopyFrom(job.spec)
    spec.ClearField("capability")
    spec.ClearField("price_max")
    return spec


async def compare(client: AsyncClient, one: str, other: str) -> Comparison:
    """Downloads two videos, decodes them and compares. Raises I2VError, OSError."""
    with tempfile.TemporaryDirectory(prefix="i2v-rerun-") as folder:
        files = [Path(folder) / "one.mp4", Path(folder) / "other.mp4"]
        for name, file in zip((one, other), files, strict=True):
            await client.download(name, file)
        first, second = [await asyncio.to_thread(frame_digests, file) for file in files]
    unsigned = (await _unsigned(client, one), await _unsigned(client, other))
    return Comparison(len(first), first_difference(first, second), unsigned)


async def _unsigned(client: AsyncClient, asset: str) -> str:
    try:
        return (await client.provenance.manifest(asset)).unsigned_sha256
    except NotFound:
        return ""  # of a job from before there were manifests
