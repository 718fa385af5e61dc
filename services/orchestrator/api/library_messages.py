"""Proto <-> domain for the library."""

import json
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from i2v.v1 import asset_pb2, library_pb2

from services.orchestrator.api import proto_values
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.library_entry import LibraryEntry, Origin
from services.orchestrator.domain.library_statistics import LibraryGroup, LibraryStatistics


def details(given: library_pb2.LibraryDetails) -> Details:
    """Returns what people say of an asset, unchecked."""
    return Details(
        title=given.title,
        description=given.description,
        tags=tuple(given.tags),
        source_module=given.source_module,
        custom=_custom(given.custom_metadata),
    )


def details_message(given: Details) -> library_pb2.LibraryDetails:
    """Returns the message of what people say of an asset."""
    result = library_pb2.LibraryDetails(
        title=given.title, description=given.description, tags=given.tags, source_module=given.source_module
    )
    if given.custom:
        result.custom_metadata.update(given.custom)
    return result


def asset(given: Asset, entry: LibraryEntry | None) -> asset_pb2.Asset:
    """Returns an asset, with what the library says of it."""
    result = proto_values.asset(given)
    if entry is None:
        return result
    result.details.CopyFrom(details_message(entry.details))
    result.favorite, result.rating = entry.favorite, entry.rating
    result.downloads, result.shares = entry.downloads, entry.shares
    result.etag = str(entry.revision)
    result.update_time.CopyFrom(proto_values.timestamp(entry.update_time))
    if entry.origin is not None:
        result.origin.CopyFrom(_origin(entry.origin))
    if entry.access_time is not None:
        result.access_time.CopyFrom(proto_values.timestamp(entry.access_time))
    if entry.delete_time is not None:
        result.delete_time.CopyFrom(proto_values.timestamp(entry.delete_time))
    return result


def statistics(given: LibraryStatistics) -> asset_pb2.LibraryStatistics:
    """Returns the statistics of a library."""
    return asset_pb2.LibraryStatistics(
        total=_group(given.total),
        types=map(_group, given.types),
        source_modules=map(_group, given.source_modules),
        months=map(_group, given.months),
    )


def _group(given: LibraryGroup) -> asset_pb2.LibraryGroup:
    return asset_pb2.LibraryGroup(
        name=given.name,
        assets=given.assets,
        size_bytes=given.size_bytes,
        cost=proto_values.money(given.cost_micros),
    )


def _origin(given: Origin) -> asset_pb2.AssetOrigin:
    return asset_pb2.AssetOrigin(
        job=f"jobs/{given.job_id}",
        operation=given.operation,
        model=given.model,
        seed=given.seed,
        prompt=given.prompt,
        cost=proto_values.money(given.cost_micros),
        parents=[f"assets/{parent}" for parent in given.parents],
    )


def _custom(given: Struct) -> dict[str, Any]:
    """Returns the values of a struct, which has all numbers as floats: whole ones become whole again."""
    return json.loads(json.dumps(json_format.MessageToDict(given)), parse_float=_number)  # type: ignore[no-any-return]


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
