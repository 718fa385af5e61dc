"""A part of an asset, as ReadAsset, ReadSigned and ReadShared ask for it."""

from collections.abc import AsyncGenerator

from services.orchestrator.api import proto_values
from services.orchestrator.assets.read_counts import ReadCounts
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.rendition import Rendition, stored_as
from services.orchestrator.ports.blobs import Blobs
from services.reasons import AssetReason


async def read_range(
    blobs: Blobs,
    counts: ReadCounts | None,
    asset: Asset,
    rendition: Rendition | None,
    offset: int,
    length: int,
    *,
    share: int | None = None,
) -> AsyncGenerator[bytes, None]:
    """Yields the bytes of an asset, or of one of its renditions, from an offset; a length of 0 means to the end.

    A read of the asset itself is counted, for its share too; without `counts` it is not. Raises InvalidInput.
    """
    key, size = stored_as(asset, rendition)
    if not 0 <= offset <= size:
        wrong = f"is {offset}; the {rendition.variant if rendition else 'asset'} has {size} bytes"
        raise proto_values.refuse("offset", wrong, AssetReason.OFFSET_OUT_OF_RANGE)
    if length < 0:
        raise proto_values.refuse("length", f"is {length}", AssetReason.OFFSET_OUT_OF_RANGE)
    sent = 0
    try:
        async for chunk in blobs.read(key, offset=offset, length=length or None):
            sent += len(chunk)
            yield chunk
    finally:
        if sent and rendition is None and counts is not None:
            entry = EntryKey(asset.tenant, asset.user, asset.sha256)
            counts.read(entry, complete=sent == size, share=share)
