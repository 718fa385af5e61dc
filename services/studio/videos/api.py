"""Api: the calls that videos over HTTP need, with the credential of whoever calls."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from i2v.v1 import asset_pb2, asset_pb2_grpc, catalog_pb2, catalog_pb2_grpc, job_pb2, job_pb2_grpc

from services.rpc.status_codes import from_call
from services.studio.api_error import ApiError
from services.studio.api_stream import chunks
from services.studio.videos.caller import Caller

CHUNK = 512 * 1024


@dataclass(frozen=True, slots=True)
class Api:
    """The calls of one channel. Each raises ApiError."""

    channel: grpc.aio.Channel
    timeout_s: float
    upload_timeout_s: float = 60.0

    async def submit(self, caller: Caller, request: job_pb2.SubmitJobRequest) -> job_pb2.Job:
        """Admits a job; asks once more when the answer is lost, which admits no second one."""
        stub: Any = job_pb2_grpc.JobServiceStub(self.channel)
        try:
            found: job_pb2.Job = await self._call(stub.SubmitJob, caller, request)
        except ApiError as error:
            if error.failure.reason or error.failure.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            found = await self._call(stub.SubmitJob, caller, request)
        return found

    async def job(self, caller: Caller, name: str) -> job_pb2.Job:
        """Returns a job."""
        stub: Any = job_pb2_grpc.JobServiceStub(self.channel)
        found: job_pb2.Job = await self._call(stub.GetJob, caller, job_pb2.GetJobRequest(name=name))
        return found

    async def jobs(self, caller: Caller, request: job_pb2.ListJobsRequest) -> job_pb2.ListJobsResponse:
        """Returns a page of jobs."""
        stub: Any = job_pb2_grpc.JobServiceStub(self.channel)
        found: job_pb2.ListJobsResponse = await self._call(stub.ListJobs, caller, request)
        return found

    async def cancel(self, caller: Caller, name: str) -> job_pb2.Job:
        """Stops a job."""
        stub: Any = job_pb2_grpc.JobServiceStub(self.channel)
        found: job_pb2.Job = await self._call(stub.CancelJob, caller, job_pb2.CancelJobRequest(name=name))
        return found

    async def model(self, caller: Caller, model_id: str) -> catalog_pb2.Model:
        """Returns the card of a model."""
        stub: Any = catalog_pb2_grpc.CatalogServiceStub(self.channel)
        request = catalog_pb2.GetModelRequest(name=f"models/{model_id}")
        found: catalog_pb2.Model = await self._call(stub.GetModel, caller, request)
        return found

    async def models(self, caller: Caller) -> list[catalog_pb2.Model]:
        """Returns all cards."""
        stub: Any = catalog_pb2_grpc.CatalogServiceStub(self.channel)
        found: list[catalog_pb2.Model] = []
        request = catalog_pb2.ListModelsRequest()
        while True:
            page = await self._call(stub.ListModels, caller, request)
            found += page.models
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def upload(self, caller: Caller, picture: bytes) -> str:
        """Stores a picture. Returns its asset, `assets/{sha256}`."""
        stub: Any = asset_pb2_grpc.AssetServiceStub(self.channel)
        header = asset_pb2.WriteAssetHeader(media_type="image/*", size_bytes=len(picture))

        async def parts() -> AsyncIterator[asset_pb2.WriteAssetRequest]:
            yield asset_pb2.WriteAssetRequest(header=header)
            for first in range(0, len(picture), CHUNK):
                yield asset_pb2.WriteAssetRequest(data=picture[first : first + CHUNK])

        stored = await self._call(stub.WriteAsset, caller, parts(), self.upload_timeout_s)
        return str(stored.name)

    async def asset(self, caller: Caller, name: str) -> asset_pb2.Asset:
        """Returns the properties of an asset."""
        stub: Any = asset_pb2_grpc.AssetServiceStub(self.channel)
        found: asset_pb2.Asset = await self._call(stub.GetAsset, caller, asset_pb2.GetAssetRequest(name=name))
        return found

    async def delete(self, caller: Caller, name: str) -> None:
        """Moves an asset to the trash."""
        stub: Any = asset_pb2_grpc.AssetServiceStub(self.channel)
        await self._call(stub.DeleteAsset, caller, asset_pb2.DeleteAssetRequest(name=name))

    async def rendition(self, caller: Caller, name: str, variant: str) -> asset_pb2.Rendition:
        """Returns the properties of a variant of an asset; makes it first if it is missing."""
        stub: Any = asset_pb2_grpc.AssetServiceStub(self.channel)
        request = asset_pb2.GetRenditionRequest(name=name, variant=variant)
        found: asset_pb2.Rendition = await self._call(stub.GetRendition, caller, request, self.upload_timeout_s)
        return found

    def read(self, caller: Caller, name: str, variant: str, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yields the bytes of an asset, or of a variant, from an offset."""
        stub: Any = asset_pb2_grpc.AssetServiceStub(self.channel)
        request = asset_pb2.ReadAssetRequest(name=name, variant=variant, offset=offset, length=length)
        return chunks(partial(stub.ReadAsset, request, metadata=caller.metadata))

    async def _call(self, method: Any, caller: Caller, request: Any, timeout_s: float = 0.0) -> Any:
        try:
            return await method(request, metadata=caller.metadata, timeout=timeout_s or self.timeout_s)
        except grpc.aio.AioRpcError as error:
            raise ApiError(from_call(error)) from error
