"""Downloads of assets. A broken one continues where it stopped; an asset's own bytes are checked against its name."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client.errors import I2VError, Unreachable
from i2v_client.failure import Failure
from i2v_client.output_file import Write
from i2v_client.retry import RetryPolicy

CHECKSUM_WRONG = "CHECKSUM_WRONG"
"""The reason of a download that does not have the digest of its name."""


class Streams(Protocol):
    """Makes calls that answer with a stream."""

    @property
    def retry_for_s(self) -> float:
        """Seconds without contact after which a read is given up."""

    def stream(self, method: Any, request: Any) -> AsyncGenerator[Any, None]:
        """Yields the responses of one call. Raises I2VError."""


@dataclass(slots=True)
class Begun:
    """What an earlier download has written."""

    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    """Of these bytes."""


async def download_asset(
    channel: Streams,
    assets: "asset_pb2_grpc.AssetServiceAsyncStub",
    name: str,
    write: Write,
    variant: str = "",
    begun: Begun | None = None,
    *,
    uncounted: bool = False,
) -> int:
    """Passes the bytes of an asset, or of a variant, to `write`, in order; returns their number. Raises I2VError.

    Continues after what was begun. An `uncounted` one is no download in the library's counts.
    """
    begun = begun or Begun()
    retry, digest, size = RetryPolicy(channel.retry_for_s), begun.digest, begun.size
    while True:
        request = asset_pb2.ReadAssetRequest(name=name, offset=size, variant=variant, uncounted=uncounted)
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
        raise I2VError(Failure(grpc.StatusCode.DATA_LOSS, damaged, CHECKSUM_WRONG, {"name": name}))
    return size
