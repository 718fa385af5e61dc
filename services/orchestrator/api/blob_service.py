"""BlobService: what operators do about the stored bytes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
from i2v.admin.v1 import blob_pb2, blob_pb2_grpc

from services.orchestrator.api.acting import Acting
from services.orchestrator.assets.scrub import Fault, Phase, Scrub

BYTES_PER_SECOND = 50_000_000
EVERY_S = 1.0
"""Seconds between two responses without a fault."""
PHASES = {Phase.READING: blob_pb2.ScrubBlobsResponse.READING, Phase.LISTING: blob_pb2.ScrubBlobsResponse.LISTING}
FAULTS = {
    Fault.MISSING: blob_pb2.ScrubBlobsResponse.MISSING,
    Fault.ALTERED: blob_pb2.ScrubBlobsResponse.ALTERED,
    Fault.UNREFERENCED: blob_pb2.ScrubBlobsResponse.UNREFERENCED,
}


@dataclass(frozen=True, slots=True)
class BlobService(blob_pb2_grpc.BlobServiceServicer):
    """Answers the RPCs of blob.proto, for operators."""

    scrub: Scrub
    acting: Acting

    async def ScrubBlobs(
        self, request: blob_pb2.ScrubBlobsRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[blob_pb2.ScrubBlobsResponse]:
        """Compares the stored bytes with the database."""
        phase = Phase.LISTING if request.phase == blob_pb2.ScrubBlobsResponse.LISTING else Phase.READING
        pace = request.bytes_per_second if request.bytes_per_second > 0 else BYTES_PER_SECOND
        loop = asyncio.get_running_loop()
        async with self.acting.steps("ScrubBlobs", "blobs"):
            blobs = bytes_read = 0
            said_s = loop.time()
            progress: blob_pb2.ScrubBlobsResponse | None = None
            async for looked in self.scrub.run(phase, request.key, bytes_per_second=pace):
                blobs, bytes_read = blobs + looked.complete, bytes_read + looked.size_bytes
                progress = blob_pb2.ScrubBlobsResponse(
                    phase=PHASES[looked.phase], key=looked.key, blobs=blobs, bytes_read=bytes_read
                )
                if looked.fault is not None:
                    progress.fault = FAULTS[looked.fault]
                if looked.fault is not None or loop.time() - said_s >= EVERY_S:
                    yield progress
                    progress, said_s = None, loop.time()
            if progress is not None:
                yield progress
