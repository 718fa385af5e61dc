"""StreamApi: the calls that streams over HTTP need, with the credential of whoever calls."""

from typing import Any

import grpc
from i2v.v1 import asset_pb2, job_pb2, job_pb2_grpc, usage_pb2

from services.studio import api_call
from services.studio.asset_files import AssetFiles
from services.studio.caller import Caller
from services.studio.streams import upload_call
from services.studio.streams.upload_body import UploadBody


class StreamApi(AssetFiles):
    """The calls of one channel. Those that are awaited raise ApiError."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        super().__init__(channel, timeout_s)
        self._jobs: Any = job_pb2_grpc.JobServiceStub(channel)
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

    async def write(self, who: Caller, header: asset_pb2.WriteAssetHeader, body: UploadBody) -> asset_pb2.Asset:
        """Stores a file, or the rest of one. Raises RefusedRequest too."""
        return await upload_call.write(self._assets.WriteAsset, who, header, body)

    async def write_status(self, who: Caller, upload: str) -> asset_pb2.WriteStatus:
        """Returns how much of an upload has arrived."""
        request = asset_pb2.QueryWriteStatusRequest(upload_id=upload)
        found: asset_pb2.WriteStatus = await self._call(self._assets.QueryWriteStatus, who, request)
        return found

    async def _call(self, method: Any, who: Caller, request: Any, timeout_s: float = 0.0) -> Any:
        return await api_call.answer(method, request, who.metadata, timeout_s or self._timeout_s)
