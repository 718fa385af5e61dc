"""What the library says of an imported asset: the texts as they were, and the facts of its origin as claims.

A file can claim anything. So an import never makes an origin: what the export says of job, model, cost and times
becomes a part of the custom metadata, under a key of its own, which has no effect and which its owner can change.
"""

import json
from typing import Any

from google.protobuf.json_format import MessageToDict
from i2v.v1 import asset_pb2, library_pb2

KEY = "imported_by_i2v"
CUSTOM_BYTES_MOST = 8192
"""What the service takes."""


def new_details(asset: asset_pb2.Asset, tenant: str) -> library_pb2.LibraryDetails:
    """Returns the details for an asset of an export of a tenant."""
    wanted, custom = library_pb2.LibraryDetails(), _custom(asset)
    wanted.CopyFrom(asset.details)
    earlier = custom.pop(KEY, None)
    wanted.custom_metadata.Clear()
    wanted.custom_metadata.update(_fitting(custom, _facts(asset, tenant, earlier)))
    return wanted


def overwriting(asset: asset_pb2.Asset, here: asset_pb2.Asset) -> library_pb2.LibraryDetails:
    """Returns the details for an entry that is here: those of the export, with the facts that it has here."""
    wanted, custom = library_pb2.LibraryDetails(), _custom(asset)
    wanted.CopyFrom(asset.details)
    custom.pop(KEY, None)
    wanted.custom_metadata.Clear()
    wanted.custom_metadata.update(_fitting(custom, _custom(here).get(KEY)))
    return wanted


def source_of(asset: asset_pb2.Asset) -> str:
    """Returns the name that an asset had in the export that it came from; empty: it came from none."""
    facts = _custom(asset).get(KEY)
    name = facts.get("name") if isinstance(facts, dict) else None
    return name if isinstance(name, str) else ""


def same(one: asset_pb2.Asset, other: asset_pb2.Asset) -> bool:
    """Whether people say the same of both."""
    return _said(one) == _said(other) and (one.favorite, one.rating) == (other.favorite, other.rating)


def same_texts(one: asset_pb2.Asset, other: asset_pb2.Asset) -> bool:
    """Whether people say the same of both, apart from favourite and rating."""
    return _said(one) == _said(other)


def _said(asset: asset_pb2.Asset) -> tuple[object, ...]:
    said, custom = asset.details, _custom(asset)
    custom.pop(KEY, None)
    return said.title, said.description, tuple(said.tags), said.source_module, custom


def _custom(asset: asset_pb2.Asset) -> dict[str, Any]:
    found: dict[str, Any] = MessageToDict(asset.details.custom_metadata)
    return found


def _facts(asset: asset_pb2.Asset, tenant: str, earlier: object) -> dict[str, Any]:
    """Returns the facts of one asset. An earlier import's facts stay, apart from the name."""
    own = {"name": asset.name}
    if isinstance(earlier, dict) and not asset.HasField("origin"):
        return earlier | own
    facts: dict[str, Any] = own | {"create_time": asset.create_time.ToJsonString()}
    if tenant:
        facts["tenant"] = tenant
    if asset.HasField("origin"):
        facts["origin"] = MessageToDict(asset.origin, preserving_proto_field_name=True)
    return facts


def _fitting(custom: dict[str, Any], facts: object) -> dict[str, Any]:
    """Returns the values with the facts, shortened or left out where they would be too large together."""
    if not isinstance(facts, dict):
        return custom
    origin = facts.get("origin")
    if isinstance(origin, dict) and isinstance(origin.get("prompt"), str) and (excess := _excess(custom, facts)) > 0:
        whole = origin["prompt"].encode()
        kept = whole[: max(0, len(whole) - excess)].decode(errors="ignore")
        facts = facts | {"origin": origin | {"prompt": kept}}
    if _excess(custom, facts) > 0:
        facts = {"name": facts.get("name", "")}
    return custom if _excess(custom, facts) > 0 else custom | {KEY: facts}


def _excess(custom: dict[str, Any], facts: object) -> int:
    return len(json.dumps(custom | {KEY: facts}, ensure_ascii=False).encode()) - CUSTOM_BYTES_MOST
