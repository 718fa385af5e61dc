"""Requests that change or delete several entries of the library: checked, and in the domain's words."""

from i2v.v1 import asset_pb2

from services.errors import InvalidInput
from services.orchestrator.api import library_requests, proto_values
from services.orchestrator.domain import library_details, library_filter
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.library_batch import SELECTED_MOST, BatchChange, Selection
from services.reasons import LibraryReason


def selection(
    request: asset_pb2.BatchUpdateAssetsRequest | asset_pb2.BatchDeleteAssetsRequest, caller: Caller
) -> Selection:
    """Returns which entries a request is about. Raises InvalidInput."""
    if bool(request.names) == bool(request.filter.strip()):
        raise proto_values.refuse("names", "or filter must be given, not both", LibraryReason.SELECTION_MALFORMED)
    if len(request.names) > SELECTED_MOST:
        what = f"has {len(request.names)} names; give at most {SELECTED_MOST:,}"
        raise proto_values.refuse("names", what, LibraryReason.NAMES_TOO_MANY)
    names = dict.fromkeys(proto_values.resource_id(name, "assets", field="names") for name in request.names)
    which = None if names else library_filter.parse(request.filter)
    return Selection(tenant=caller.tenant, user=caller.user, names=tuple(names), filter=which)


def change(request: asset_pb2.BatchUpdateAssetsRequest) -> BatchChange:
    """Returns what becomes of the entries. Raises InvalidInput."""
    source_module = request.source_module if request.HasField("source_module") else None
    wrong = [
        *library_details.tag_problems(tuple(request.add_tags), "add_tags"),
        *library_details.tag_problems(tuple(request.remove_tags), "remove_tags"),
        *library_details.module_problems(source_module or "", "source_module"),
    ]
    if wrong:
        raise InvalidInput(wrong, reason=wrong[0].reason)
    if both := [tag for tag in request.add_tags if tag in request.remove_tags]:
        what = f"and remove_tags both have {both[0]!r}"
        raise proto_values.refuse("add_tags", what, LibraryReason.TAG_MALFORMED)
    result = BatchChange(
        add_tags=tuple(request.add_tags),
        remove_tags=tuple(request.remove_tags),
        favorite=request.favorite if request.HasField("favorite") else None,
        rating=library_requests.rating(request.rating, "rating") if request.HasField("rating") else None,
        source_module=source_module,
        dry_run=request.dry_run,
    )
    if result == BatchChange(dry_run=request.dry_run):
        raise proto_values.refuse("add_tags", "is empty, as is every other change", LibraryReason.CHANGE_MISSING)
    return result
