"""Downloads of assets. A broken one continues where it stopped; an asset's own bytes are checked against its name."""

import hashlib
from contextlib import aclosing

import grpc
from i2v.v1 import asset_pb2, asset_pb2_grpc

from services.client.errors import I2VError, Unreachable
from services.client.output_file import Write
from services.client.retry import RetryPolicy
from services.client.service_channel import ServiceChannel
from services.reasons import AssetReason
from services.rpc.status_codes import Failure


async def download_asset(
    channel: ServiceChannel,
    assets: "asset_pb2_grpc.AssetServiceAsyncStub",
    name: str,
    write: Write,
    variant: str = "",
) -> int:
    """Passes the bytes of an asset, or of a variant, to `write`, in order; returns their number. Raises I2VError."""
    retry, digest, size = RetryPolicy(channel.retry_for_s), hashlib.sha256(), 0
    while True:
        request = asset_pb2.ReadAssetRequest(name=name, offset=size, variant=variant)
        try:
            async with aclosing(channel.stream(assets.ReadAsset, request)) as responses:
                async for response in responses:
                    retry.contact()
                    await write(response.data)
                    digest.update(response.data)
                    size += len(response.data)
            break
        except Unreachable as error:
            await retry.wait(error)
    if not variant and digest.hexdigest() != name.removeprefix("assets/"):
        damaged = f"{name} arrived damaged: {size} bytes with another checksum. Download it again."
        raise I2VError(Failure(grpc.StatusCode.DATA_LOSS, damaged, AssetReason.CHECKSUM_WRONG, {"name": name}))
    return size
