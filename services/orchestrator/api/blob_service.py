"""BlobService: what operators do about the stored bytes."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import grpc
from i2v.admin.v1 import blob_pb2, blob_pb2_grpc

from services.errors import PreconditionFailed
from services.orchestrator.api import proto_values
from services.orchestrator.api.acting import Acting
from services.orchestrator.assets import blob_copy
from services.orchestrator.assets.blob_copy import BlobCopy, Outcome
from services.orchestrator.assets.scrub import Fault, Phase, Scrub
from services.orchestrator.ports.bucket_configuration import BucketConfiguration
from services.orchestrator.ports.library_meter import LibraryMeter
from services.reasons import RequestReason

BYTES_PER_SECOND = 50_000_000
EVERY_S = 1.0
"""Seconds between two responses without a fault."""
PHASES = {Phase.READING: blob_pb2.ScrubBlobsResponse.READING, Phase.LISTING: blob_pb2.ScrubBlobsResponse.LISTING}
FAULTS = {
    Fault.MISSING: blob_pb2.ScrubBlobsResponse.MISSING,
    Fault.ALTERED: blob_pb2.ScrubBlobsResponse.ALTERED,
    Fault.UNREFERENCED: blob_pb2.ScrubBlobsResponse.UNREFERENCED,
}
COPY_PHASES = {
    blob_copy.Phase.COPYING: blob_pb2.CopyBlobsResponse.COPYING,
    blob_copy.Phase.CHECKING: blob_pb2.CopyBlobsResponse.CHECKING,
}
NO_FAULT = blob_pb2.CopyBlobsResponse.FAULT_UNSPECIFIED
COPY_FAULTS: Mapping[Outcome | None, blob_pb2.CopyBlobsResponse.Fault.ValueType] = {
    Outcome.MISSING: blob_pb2.CopyBlobsResponse.MISSING,
    Outcome.ALTERED: blob_pb2.CopyBlobsResponse.ALTERED,
}
ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.*\[\]:-]{1,250}")
MOST_ORIGINS = 20


@dataclass(frozen=True, slots=True)
class BlobService(blob_pb2_grpc.BlobServiceServicer):
    """Answers the RPCs of blob.proto, for operators."""

    scrub: Scrub
    copy: BlobCopy | None
    """None: there is one store only."""
    bucket: BucketConfiguration | None
    """None: the store is a folder."""
    acting: Acting
    meter: LibraryMeter

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
                if looked.complete:
                    self.meter.scrubbed(looked.fault or "")
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

    async def CopyBlobs(
        self, request: blob_pb2.CopyBlobsRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[blob_pb2.CopyBlobsResponse]:
        """Copies the blobs of the old store to the new one."""
        if self.copy is None:
            what = "The server has no old store to copy from: I2V_BLOBS_OLD is not set."
            raise PreconditionFailed(what, reason=RequestReason.NO_OLD_STORE)
        checking = request.phase == blob_pb2.CopyBlobsResponse.CHECKING
        phase = blob_copy.Phase.CHECKING if checking else blob_copy.Phase.COPYING
        pace = request.bytes_per_second if request.bytes_per_second > 0 else BYTES_PER_SECOND
        loop = asyncio.get_running_loop()
        async with self.acting.steps("CopyBlobs", "blobs"):
            counts, said_s = blob_pb2.CopyBlobsCounts(), loop.time()
            run = self.copy.run(phase, request.key, bytes_per_second=pace, dry_run=request.dry_run)
            async with aclosing(run) as steps:
                step: blob_copy.Step | None = None
                async for step in steps:
                    _count(counts, step)
                    fault = COPY_FAULTS.get(step.outcome, NO_FAULT)
                    if fault or loop.time() - said_s >= EVERY_S:
                        yield blob_pb2.CopyBlobsResponse(
                            phase=COPY_PHASES[step.phase], key=step.key, fault=fault, counts=counts
                        )
                        said_s = loop.time()
            if step is not None:
                yield blob_pb2.CopyBlobsResponse(phase=COPY_PHASES[step.phase], key=step.key, counts=counts)

    async def ConfigureBlobs(
        self, request: blob_pb2.ConfigureBlobsRequest, context: grpc.ServicerContext
    ) -> blob_pb2.ConfigureBlobsResponse:
        """Configures the bucket."""
        origins = _origins(request.origins)
        if self.bucket is None:
            nothing = "The bytes are in a folder (I2V_BLOBS=local): there is nothing to configure."
            item = blob_pb2.BucketItem(name="folder", state=blob_pb2.BucketItem.CURRENT, detail=nothing)
            return blob_pb2.ConfigureBlobsResponse(items=[item])
        async with self.acting.steps("ConfigureBlobs", "blobs"):
            items = await self.bucket.apply(origins, dry_run=request.dry_run)
        return blob_pb2.ConfigureBlobsResponse(
            items=[
                blob_pb2.BucketItem(
                    name=item.name,
                    state=blob_pb2.BucketItem.State.Value(item.state.name),
                    detail=item.detail,
                    changes=item.changes,
                )
                for item in items
            ]
        )


def _count(counts: blob_pb2.CopyBlobsCounts, step: blob_copy.Step) -> None:
    if step.outcome is not None:
        setattr(counts, step.outcome.value, getattr(counts, step.outcome.value) + 1)
    counts.copied_bytes += step.size_bytes


def _origins(given: Sequence[str]) -> list[str]:
    """Returns the origins of a request. Raises InvalidInput."""
    if len(given) > MOST_ORIGINS:
        raise proto_values.refuse("origins", f"are more than {MOST_ORIGINS}", RequestReason.ORIGIN_MALFORMED)
    for index, origin in enumerate(given):
        if not ORIGIN.fullmatch(origin):
            what = f"is {origin[:200]!r}; an origin is `https://host` or `https://host:port`, without a path"
            raise proto_values.refuse(f"origins[{index}]", what, RequestReason.ORIGIN_MALFORMED)
    return list(given)
