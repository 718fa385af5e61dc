"""Calls of ProvenanceService."""

from collections.abc import AsyncGenerator
from pathlib import Path

from i2v.v1 import provenance_pb2, provenance_pb2_grpc

from services.client.client import Client
from services.client.upload_files import Upload


async def manifest(client: Client, asset: str) -> provenance_pb2.Manifest:
    """Returns how a video was made. Raises I2VError."""
    stub = provenance_pb2_grpc.ProvenanceServiceStub(client.channel())
    return await client.call(stub.GetManifest, provenance_pb2.GetManifestRequest(name=asset))


async def verify(client: Client, source: Path | str) -> provenance_pb2.Verification:
    """Checks a file, or the asset of a name. Raises I2VError, OSError."""
    stub = provenance_pb2_grpc.ProvenanceServiceStub(client.channel())

    async def requests() -> AsyncGenerator[provenance_pb2.VerifyAssetRequest, None]:
        if isinstance(source, str):
            yield provenance_pb2.VerifyAssetRequest(name=source)
            return
        async for chunk in Upload(source, 0, "").chunks():
            yield provenance_pb2.VerifyAssetRequest(data=chunk)

    return await client.send(stub.VerifyAsset, requests)
