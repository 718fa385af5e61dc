"""What a batch needs of the service. AsyncClient has it."""

from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Protocol

from i2v.v1 import asset_pb2, job_pb2

from i2v_client.upload_files import Upload
from i2v_client.watches import OnHeartbeat, OnOutage


class Service(Protocol):
    """The service for one user. Every method raises I2VError."""

    async def upload(self, source: Upload, media_type: str = "") -> asset_pb2.Asset:
        """Uploads a picture."""

    async def submit(self, spec: job_pb2.JobSpec, request_id: str | None = None) -> job_pb2.Job:
        """Submits a job, once for a request_id."""

    async def resume(self, name: str, request_id: str = "") -> job_pb2.Job:
        """Fetches the video of a job that failed though it was paid for."""

    async def get(self, name: str) -> job_pb2.Job:
        """Returns a job."""

    def watch(
        self,
        name: str,
        after: int = 0,
        *,
        retry_for_s: float | None = None,
        on_outage: OnOutage = None,
        on_heartbeat: OnHeartbeat = None,
    ) -> AsyncGenerator[job_pb2.JobEvent, None]:
        """Yields a job's events until it ends."""

    async def download(self, name: str, to: Path, variant: str = "") -> int:
        """Downloads an asset to a file and returns its size. Raises OSError too."""

    async def preview_jobs(self, specs: Iterable[job_pb2.JobSpec]) -> job_pb2.PreviewJobsResponse:
        """Returns what jobs would cost."""
