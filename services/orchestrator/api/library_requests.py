"""Requests for lists of the library, and for changes of it: checked, and in the domain's words."""

import hashlib
from datetime import datetime
from typing import Any

from i2v.v1 import asset_pb2

from services.errors import InvalidInput, Violation
from services.orchestrator.api import library_messages, page_tokens, proto_values
from services.orchestrator.domain import library_details
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.library_list import Order, OrderKey, Place
from services.reasons import LibraryReason, RequestReason

PAGE_MOST = 500
QUERY_MOST = 1000
DISTANCE_DEFAULT, DISTANCE_MOST = 10, 32
DETAILS = {
    "details.title": "title",
    "details.description": "description",
    "details.tags": "tags",
    "details.source_module": "source_module",
    "details.custom_metadata": "custom",
}
FIELDS = (*DETAILS, "favorite", "rating")


def page_size(request: asset_pb2.ListAssetsRequest) -> int:
    """Returns how many entries go onto a page."""
    size = request.page_size or proto_values.PAGE_DEFAULT
    if not 1 <= size <= PAGE_MOST:
        what = f"is {size}; 1 to {PAGE_MOST} are allowed"
        raise proto_values.refuse("page_size", what, RequestReason.PAGE_SIZE_OUT_OF_RANGE)
    return size


def order(request: asset_pb2.ListAssetsRequest) -> Order:
    """Returns the order of a list."""
    if not request.order_by.strip():
        return Order()
    key, direction = (*request.order_by.split(), "asc")[:2]
    known = key in set(OrderKey) and direction in ("asc", "desc") and len(request.order_by.split()) <= 2
    if not known or (key == OrderKey.RELEVANCE and not request.query.strip()):
        keys = ", ".join(OrderKey)
        what = f"is {request.order_by[:80]!r}; give one of {keys} (relevance with a query), then asc or desc"
        raise proto_values.refuse("order_by", what, LibraryReason.ORDER_UNKNOWN)
    return Order(OrderKey(key), direction == "desc")


def words(request: asset_pb2.ListAssetsRequest) -> str:
    """Returns the words that are searched."""
    if len(request.query) > QUERY_MOST:
        what = f"has {len(request.query)} characters; at most {QUERY_MOST} are taken"
        raise proto_values.refuse("query", what, LibraryReason.QUERY_TOO_LONG)
    return request.query.strip()


def distance(request: asset_pb2.ListAssetsRequest) -> int:
    """Returns in how many bits similar pictures may differ."""
    most = request.max_distance if request.HasField("max_distance") else DISTANCE_DEFAULT
    if not 0 <= most <= DISTANCE_MOST:
        what = f"is {most}; 0 to {DISTANCE_MOST} bits are allowed"
        raise proto_values.refuse("max_distance", what, LibraryReason.DISTANCE_OUT_OF_RANGE)
    return most


def bound(request: asset_pb2.ListAssetsRequest, caller: Caller) -> list[str]:
    """Returns what a page token is bound to: the caller, and all of the request but its page."""
    rest = asset_pb2.ListAssetsRequest()
    rest.CopyFrom(request)
    rest.ClearField("page_token")
    rest.ClearField("page_size")
    parts = (caller.tenant, caller.user, rest.SerializeToString(deterministic=True).hex())
    return [hashlib.sha256("\0".join(parts).encode()).hexdigest()]


def place(request: asset_pb2.ListAssetsRequest, caller: Caller, key: OrderKey) -> Place | None:
    """Returns where the page begins. Raises InvalidInput when the token is not of this request."""
    found = page_tokens.decode(request.page_token, bound(request, caller), 2)
    if found is None:
        return None
    value, number = found
    if not (number.isascii() and number.isdigit() and len(number) <= 18 and _is_value(value, key)):
        raise page_tokens.malformed()
    return Place(value, int(number))


def token(last: Place, request: asset_pb2.ListAssetsRequest, caller: Caller) -> str:
    """Returns the token of the page after an entry."""
    return page_tokens.encode([last.value, str(last.id)], bound(request, caller))


def _is_value(text: str, key: OrderKey) -> bool:
    """Tells whether PostgreSQL can read a place that a caller may have altered."""
    try:
        match key:
            case OrderKey.TITLE:
                return len(text) <= 200
            case OrderKey.COST | OrderKey.SIZE:
                return 0 <= int(text) < 2**63
            case OrderKey.RELEVANCE:
                return 0 <= float(text) <= 1
            case OrderKey.CREATE_TIME | OrderKey.UPDATE_TIME:
                return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def changes(request: asset_pb2.UpdateAssetRequest) -> dict[str, Any]:
    """Returns the new values of the fields that the mask names. Raises InvalidInput."""
    paths = proto_values.masked(request.update_mask, ("details", *FIELDS))
    given = library_messages.details(request.asset.details)
    names = {DETAILS[path] for path in paths if path in DETAILS} | (
        set(DETAILS.values()) if "details" in paths else set()
    )
    result: dict[str, Any] = {name: getattr(given, name) for name in names}
    if wrong := list(library_details.problems(library_details.Details(**result), "asset.details")):
        raise InvalidInput(wrong, reason=wrong[0].reason)
    if "favorite" in paths:
        result["favorite"] = request.asset.favorite
    if "rating" in paths:
        result["rating"] = rating(request.asset.rating, "asset.rating")
    return result


def rating(stars: int, field: str) -> int:
    """Returns a rating. Raises InvalidInput when it is out of range."""
    if not 0 <= stars <= 5:
        wrong = Violation(field, f"is {stars}; 0 to 5 are allowed", LibraryReason.RATING_OUT_OF_RANGE)
        raise InvalidInput([wrong], reason=LibraryReason.RATING_OUT_OF_RANGE)
    return stars


def revision(etag: str, field: str = "asset.etag") -> int | None:
    """Returns the revision that an etag names; None without one."""
    if not etag:
        return None
    if not (etag.isascii() and etag.isdigit() and len(etag) <= 18):
        raise proto_values.refuse(field, f"is {etag[:80]!r}", LibraryReason.ETAG_MALFORMED)
    return int(etag)
