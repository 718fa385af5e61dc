"""How videos were made, and whether files are what they claim."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import BinaryIO

from i2v.v1 import provenance_pb2, provenance_pb2_grpc

from i2v_client.service_channel import ServiceChannel
from i2v_client.upload_files import chunks, opened


class Provenance:
    """Manifests and their verification. Every method raises I2VError."""

    def __init__(self, channel: ServiceChannel) -> None:
        self._channel = channel
        self._provenance = provenance_pb2_grpc.ProvenanceServiceStub(channel.grpc)

    async def manifest(self, asset: str) -> provenance_pb2.Manifest:
        """Returns how a video was made."""
        request = provenance_pb2.GetManifestRequest(name=asset)
        return await self._channel.call(self._provenance.GetManifest, request)

    async def verify(self, source: Path | str) -> provenance_pb2.Verification:
        """Checks a file, or the asset of a name. Raises OSError too."""
        verify = self._provenance.VerifyAsset
        if isinstance(source, str):
            return await self._channel.upload(verify, lambda: _named(source))
        with opened(source) as file:
            return await self._channel.upload(verify, lambda: _bytes_of(file))


async def _named(asset: str) -> AsyncGenerator[provenance_pb2.VerifyAssetRequest, None]:
    yield provenance_pb2.VerifyAssetRequest(name=asset)


async def _bytes_of(file: BinaryIO) -> AsyncGenerator[provenance_pb2.VerifyAssetRequest, None]:
    async for chunk in chunks(file):
        yield provenance_pb2.VerifyAssetRequest(data=chunk)
