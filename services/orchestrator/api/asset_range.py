"""A part of an asset, as ReadAsset and ReadSigned ask for it."""

from collections.abc import AsyncIterator

from services.orchestrator.api import proto_values
from services.orchestrator.ports.blobs import Blobs
from services.reasons import AssetReason


def read_range(
    blobs: Blobs, key: str, size: int, offset: int, length: int, *, what: str = "asset"
) -> AsyncIterator[bytes]:
    """Returns the bytes of a blob from an offset; a length of 0 means to the end. Raises InvalidInput at once.

    `what` is in the error.
    """
    if not 0 <= offset <= size:
        wrong = f"is {offset}; the {what} has {size} bytes"
        raise proto_values.refuse("offset", wrong, AssetReason.OFFSET_OUT_OF_RANGE)
    if length < 0:
        raise proto_values.refuse("length", f"is {length}", AssetReason.OFFSET_OUT_OF_RANGE)
    return blobs.read(key, offset=offset, length=length or None)
