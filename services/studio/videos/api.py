"""Api: the calls that videos over HTTP need, with the credential of whoever calls."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from i2v.v1 import asset_pb2, catalog_pb2, catalog_pb2_grpc, job_pb2, job_pb2_grpc

from services.studio import api_call
from services.studio.api_error import ApiError
from services.studio.asset_files import AssetFiles
from services.studio.caller import Caller

CHUNK = 512 * 1024


class Api(AssetFiles):
    """The calls of one channel. Each raises ApiError."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float, upload_timeout_s: float = 60.0) -> None:
        super().__init__(channel, timeout_s)
        self._upload_timeout_s = upload_timeout_s
        self._jobs: Any = job_pb2_grpc.JobServiceStub(channel)
        self._catalog: Any = catalog_pb2_grpc.CatalogServiceStub(channel)

    async def submit(self, caller: Caller, request: job_pb2.SubmitJobRequest) -> job_pb2.Job:
        """Admits a job; asks once more when the answer is lost, which admits no second one."""
        try:
            found: job_pb2.Job = await self._call(self._jobs.SubmitJob, caller, request)
        except ApiError as error:
            if error.failure.reason or error.failure.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            found = await self._call(self._jobs.SubmitJob, caller, request)
        return found

    async def job(self, caller: Caller, name: str) -> job_pb2.Job:
        """Returns a job."""
        found: job_pb2.Job = await self._call(self._jobs.GetJob, caller, job_pb2.GetJobRequest(name=name))
        return found

    async def jobs(self, caller: Caller, request: job_pb2.ListJobsRequest) -> job_pb2.ListJobsResponse:
        """Returns a page of jobs."""
        found: job_pb2.ListJobsResponse = await self._call(self._jobs.ListJobs, caller, request)
        return found

    async def cancel(self, caller: Caller, name: str) -> job_pb2.Job:
        """Stops a job. One that has ended stays as it is."""
        found: job_pb2.Job = await self._call(self._jobs.CancelJob, caller, job_pb2.CancelJobRequest(name=name))
        return found

    async def delete_job(self, caller: Caller, name: str) -> job_pb2.Job:
        """Deletes a job, and stops it if it has not ended."""
        request = job_pb2.DeleteJobRequest(name=name, stop=True)
        found: job_pb2.Job = await self._call(self._jobs.DeleteJob, caller, request)
        return found

    async def check(self, caller: Caller) -> None:
        """Returns if the credential is one: the cheapest call that any may make."""
        await self._call(self._catalog.ListModels, caller, catalog_pb2.ListModelsRequest(page_size=1))

    async def model(self, caller: Caller, model_id: str) -> catalog_pb2.Model:
        """Returns the card of a model."""
        request = catalog_pb2.GetModelRequest(name=f"models/{model_id}")
        found: catalog_pb2.Model = await self._call(self._catalog.GetModel, caller, request)
        return found

    async def models(self, caller: Caller) -> list[catalog_pb2.Model]:
        """Returns all cards."""
        found: list[catalog_pb2.Model] = []
        request = catalog_pb2.ListModelsRequest()
        while True:
            page = await self._call(self._catalog.ListModels, caller, request)
            found += page.models
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def upload(self, caller: Caller, picture: bytes) -> str:
        """Stores a picture. Returns its asset, `assets/{sha256}`."""
        header = asset_pb2.WriteAssetHeader(media_type="image/*", size_bytes=len(picture))

        async def parts() -> AsyncIterator[asset_pb2.WriteAssetRequest]:
            yield asset_pb2.WriteAssetRequest(header=header)
            for first in range(0, len(picture), CHUNK):
                yield asset_pb2.WriteAssetRequest(data=picture[first : first + CHUNK])

        stored = await self._call(self._assets.WriteAsset, caller, parts(), self._upload_timeout_s)
        return str(stored.name)

    async def delete(self, caller: Caller, name: str) -> None:
        """Moves an asset to the trash."""
        await self._call(self._assets.DeleteAsset, caller, asset_pb2.DeleteAssetRequest(name=name))

    async def _call(self, method: Any, caller: Caller, request: Any, timeout_s: float = 0.0) -> Any:
        return await api_call.answer(method, request, caller.metadata, timeout_s or self._timeout_s)
