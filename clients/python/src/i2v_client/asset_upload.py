"""Uploads of assets. A large file that breaks off continues from what has arrived."""

import uuid
from collections.abc import AsyncGenerator
from typing import BinaryIO

from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client.errors import NotFound, Unreachable
from i2v_client.retry import RetryPolicy
from i2v_client.service_channel import ServiceChannel
from i2v_client.upload_files import Upload, chunks, opened

RESUMABLE_BYTES = 8 * 1024 * 1024
"""A smaller file is sent from its first byte again: that takes less time than to store its parts."""


async def upload_asset(
    channel: ServiceChannel, assets: "asset_pb2_grpc.AssetServiceAsyncStub", upload: Upload, media_type: str
) -> asset_pb2.Asset:
    """Uploads a file and returns its asset. Raises I2VError, OSError."""
    header = upload.header(media_type)
    with opened(upload.source) as file:
        if upload.size_bytes < RESUMABLE_BYTES:
            return await channel.upload(assets.WriteAsset, lambda: _requests(file, header))
        return await _resumed(channel, assets, file, header)


async def _resumed(
    channel: ServiceChannel,
    assets: "asset_pb2_grpc.AssetServiceAsyncStub",
    file: BinaryIO,
    header: asset_pb2.WriteAssetHeader,
) -> asset_pb2.Asset:
    header.upload_id = str(uuid.uuid4())
    retry = RetryPolicy(channel.retry_for_s)
    while True:
        try:
            return await channel.upload_once(assets.WriteAsset, _requests(file, header))
        except Unreachable as error:
            await retry.wait(error)
        try:
            status = await channel.call(
                assets.QueryWriteStatus, asset_pb2.QueryWriteStatusRequest(upload_id=header.upload_id)
            )
        except NotFound:  # nothing has arrived
            header.offset = 0
            continue
        if status.received_bytes > header.offset:
            retry.contact()
        header.offset = status.received_bytes


async def _requests(
    file: BinaryIO, header: asset_pb2.WriteAssetHeader
) -> AsyncGenerator[asset_pb2.WriteAssetRequest, None]:
    yield asset_pb2.WriteAssetRequest(header=header)
    async for chunk in chunks(file, header.offset):
        yield asset_pb2.WriteAssetRequest(data=chunk)
