"""A service in memory for batches: it makes every video at once, and counts what it was paid for."""

import hashlib
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from i2v.v1 import asset_pb2, job_pb2

from i2v_client.errors import NotFound
from i2v_client.failure import Failure
from i2v_client.upload_files import Upload, opened

PRICE = 1000


def not_found(name: str) -> NotFound:
    return NotFound(Failure(grpc.StatusCode.NOT_FOUND, f"There is no {name}.", "NOT_FOUND"))


@dataclass
class BatchService:
    """Jobs by their request_ids, as the real service keeps them."""

    jobs: dict[str, job_pb2.Job] = field(default_factory=dict)
    pictures: set[str] = field(default_factory=set)
    uploads: int = 0
    specs_seen: list[int] = field(default_factory=list)
    """The number of specs of each preview."""
    bytes_seen: list[int] = field(default_factory=list)
    fails: dict[str, job_pb2.JobError] = field(default_factory=dict)
    """The next job with this prompt fails so."""

    @property
    def paid(self) -> int:
        """Micros."""
        return sum(each.charged.amount_micros for each in self.jobs.values())

    async def upload(self, source: Upload, media_type: str = "") -> asset_pb2.Asset:
        self.uploads += 1
        with opened(source.source) as file:
            name = f"assets/{hashlib.sha256(file.read()).hexdigest()}"
        self.pictures.add(name)
        return asset_pb2.Asset(name=name)

    async def submit(self, spec: job_pb2.JobSpec, request_id: str | None = None) -> job_pb2.Job:
        assert request_id
        if (job := self.jobs.get(request_id)) is not None:
            assert job.spec == spec, "a request_id was used for another spec"
            return job
        moves = spec.image_to_video
        if moves.image and moves.image not in self.pictures:
            raise not_found(moves.image)
        charged = job_pb2.Money(amount_micros=PRICE, currency_code="USD")
        job = job_pb2.Job(
            name=f"jobs/{len(self.jobs)}",
            request_id=request_id,
            spec=spec,
            charged=charged,
            state=job_pb2.Job.SUCCEEDED,
        )
        if (error := self.fails.pop(moves.prompt or spec.text_to_video.prompt, None)) is not None:
            job.state = job_pb2.Job.FAILED
            job.error.CopyFrom(error)
        else:
            data = self._video(spec)
            job.output.asset, job.output.size_bytes = f"assets/{hashlib.sha256(data).hexdigest()}", len(data)
        self.jobs[request_id] = job
        return job

    async def resume(self, name: str, request_id: str = "") -> job_pb2.Job:
        before = await self.get(name)
        if request_id not in self.jobs:
            job = await self.submit(before.spec, request_id)
            job.charged.amount_micros = 0
        return self.jobs[request_id]

    async def get(self, name: str) -> job_pb2.Job:
        for job in self.jobs.values():
            if job.name == name:
                return job
        raise not_found(name)

    async def watch(self, name: str, after: int = 0, **more: Any) -> AsyncGenerator[job_pb2.JobEvent, None]:
        yield job_pb2.JobEvent(sequence=1)

    async def download(self, name: str, to: Path, variant: str = "") -> int:
        for job in self.jobs.values():
            if job.output.asset == name:
                return to.write_bytes(self._video(job.spec))
        raise not_found(name)

    async def preview_jobs(self, specs: Iterable[job_pb2.JobSpec]) -> job_pb2.PreviewJobsResponse:
        found, listed = job_pb2.PreviewJobsResponse(admissible=True), list(specs)
        self.specs_seen.append(len(listed))
        self.bytes_seen.append(sum(spec.ByteSize() for spec in listed))
        for spec in listed:
            price = job_pb2.Money(amount_micros=PRICE, currency_code="USD")
            found.jobs.append(job_pb2.PreviewJobResponse(spec=spec, quote=price, admissible=True))
        return found

    def _video(self, spec: job_pb2.JobSpec) -> bytes:
        return b"video of " + spec.SerializeToString(deterministic=True)
