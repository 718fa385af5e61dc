"""How videos were made, and whether files are what they claim."""

from collections.abc import AsyncGenerator
from pathlib import Path

from i2v.v1 import provenance_pb2, provenance_pb2_grpc

from i2v_client.service_channel import ServiceChannel
from i2v_client.upload_files import Upload


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

        async def requests() -> AsyncGenerator[provenance_pb2.VerifyAssetRequest, None]:
            if isinstance(source, str):
                yield provenance_pb2.VerifyAssetRequest(name=source)
                return
            async for chunk in Upload(source, 0, "").chunks():
                yield provenance_pb2.VerifyAssetRequest(data=chunk)

        return await self._channel.upload(self._provenance.VerifyAsset, requests)
