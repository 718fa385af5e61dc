"""StreamApi: the calls that streams over HTTP need, with the credential of whoever calls."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import grpc
from i2v.v1 import asset_pb2, asset_pb2_grpc, job_pb2, job_pb2_grpc, usage_pb2

from services.rpc.status_codes import from_call
from services.studio.api_error import ApiError
from services.studio.api_stream import chunks
from services.studio.caller import Caller
from services.studio.streams import upload_call
from services.studio.streams.upload_body import UploadBody

MADE_S = 60.0
"""Seconds in which a variant of an asset is made."""


class StreamApi:
    """The calls of one channel. Those that are awaited raise ApiError."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._jobs: Any = job_pb2_grpc.JobServiceStub(channel)
        self._assets: Any = asset_pb2_grpc.AssetServiceStub(channel)
        # Their messages stay bytes: what is made of one is kept for all streams that get the same.
        self._watch_job: Any = channel.unary_stream(
            "/i2v.v1.JobService/WatchJob", request_serializer=job_pb2.WatchJobRequest.SerializeToString
        )
        self._watch_usage: Any = channel.unary_stream(
            "/i2v.v1.UsageService/WatchUsage", request_serializer=usage_pb2.WatchUsageRequest.SerializeToString
        )

    async def job(self, who: Caller, name: str) -> job_pb2.Job:
        """Returns a job."""
        found: job_pb2.Job = await self._call(self._jobs.GetJob, who, job_pb2.GetJobRequest(name=name))
        return found

    def watch_job(self, who: Caller, name: str, after: int) -> Any:
        """Begins a watch of a job. Its messages are encoded WatchJobResponses."""
        return self._watch_job(job_pb2.WatchJobRequest(name=name, after_sequence=after), metadata=who.metadata)

    def watch_usage(self, who: Caller) -> Any:
        """Begins a watch of usage. Its messages are encoded WatchUsageResponses."""
        return self._watch_usage(usage_pb2.WatchUsageRequest(), metadata=who.metadata)

    async def asset(self, who: Caller, name: str) -> asset_pb2.Asset:
        """Returns the properties of an asset."""
        found: asset_pb2.Asset = await self._call(self._assets.GetAsset, who, asset_pb2.GetAssetRequest(name=name))
        return found

    async def rendition(self, who: Caller, name: str, variant: str) -> asset_pb2.Rendition:
        """Returns the properties of a variant of an asset; makes it first if it is missing."""
        request = asset_pb2.GetRenditionRequest(name=name, variant=variant)
        found: asset_pb2.Rendition = await self._call(self._assets.GetRendition, who, request, MADE_S)
        return found

    def read(self, who: Caller, name: str, variant: str, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yields the bytes of an asset, or of a variant, from an offset."""
        request = asset_pb2.ReadAssetRequest(name=name, variant=variant, offset=offset, length=length)
        return chunks(partial(self._assets.ReadAsset, request, metadata=who.metadata))

    async def write(self, who: Caller, header: asset_pb2.WriteAssetHeader, body: UploadBody) -> asset_pb2.Asset:
        """Stores a file, or the rest of one. Raises RefusedRequest too."""
        return await upload_call.write(self._assets.WriteAsset, who, header, body)

    async def write_status(self, who: Caller, upload: str) -> asset_pb2.WriteStatus:
        """Returns how much of an upload has arrived."""
        request = asset_pb2.QueryWriteStatusRequest(upload_id=upload)
        found: asset_pb2.WriteStatus = await self._call(self._assets.QueryWriteStatus, who, request)
        return found

    async def _call(self, method: Any, who: Caller, request: Any, timeout_s: float = 0.0) -> Any:
        try:
            return await method(request, metadata=who.metadata, timeout=timeout_s or self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise ApiError(from_call(error)) from error
