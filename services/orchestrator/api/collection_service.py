"""CollectionService: albums of the library."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from i2v.v1 import collection_pb2, collection_pb2_grpc

from services.errors import InvalidInput
from services.orchestrator.api import library_requests, page_tokens, proto_values
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.domain import collection
from services.orchestrator.domain.collection import Collection, CollectionChanges, CollectionKey
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.collections import Collections
from services.reasons import LibraryReason

FIELDS = ("title", "description", "cover")
NAMES_MOST = 1000


@dataclass(frozen=True, slots=True)
class CollectionService(collection_pb2_grpc.CollectionServiceServicer):
    """Answers the RPCs of collection.proto."""

    collections: Collections
    callers: Authentication
    clock: Clock

    async def CreateCollection(
        self, request: collection_pb2.CreateCollectionRequest, context: grpc.ServicerContext
    ) -> collection_pb2.Collection:
        """Makes an empty collection."""
        caller, given = self.callers.caller(), request.collection
        key = CollectionKey(caller.tenant, caller.user, proto_values.request_id(request.request_id))
        _check(CollectionChanges(title=given.title, description=given.description))
        return _message(await self.collections.create(key, given.title, given.description, self.clock.now()))

    async def GetCollection(
        self, request: collection_pb2.GetCollectionRequest, context: grpc.ServicerContext
    ) -> collection_pb2.Collection:
        """Returns a collection."""
        return _message(await self.collections.get(self._key(request.name)))

    async def ListCollections(
        self, request: collection_pb2.ListCollectionsRequest, context: grpc.ServicerContext
    ) -> collection_pb2.ListCollectionsResponse:
        """Returns a page of the caller's collections."""
        caller, size = self.callers.caller(), proto_values.page_size(request.page_size)
        bound = ["collections", caller.tenant, caller.user]
        before = _before(page_tokens.decode(request.page_token, bound, 1))
        found = await self.collections.page(caller.tenant, caller.user, before, size + 1)
        listed = [_message(each) for each in found[:size]]
        shown = proto_values.fitting(listed)
        token = page_tokens.encode([str(found[shown - 1].number)], bound) if len(found) > shown else ""
        return collection_pb2.ListCollectionsResponse(collections=listed[:shown], next_page_token=token)

    async def UpdateCollection(
        self, request: collection_pb2.UpdateCollectionRequest, context: grpc.ServicerContext
    ) -> collection_pb2.Collection:
        """Changes the fields of a collection that the mask names."""
        key = self._key(request.collection.name, "collection.name")
        revision = library_requests.revision(request.collection.etag, "collection.etag")
        return _message(await self.collections.change(key, _changes(request), self.clock.now(), revision))

    async def DeleteCollection(
        self, request: collection_pb2.DeleteCollectionRequest, context: grpc.ServicerContext
    ) -> collection_pb2.Collection:
        """Deletes a collection, and no asset."""
        revision = library_requests.revision(request.etag, "etag")
        return _message(await self.collections.delete(self._key(request.name), revision))

    async def AddAssets(
        self, request: collection_pb2.AddAssetsRequest, context: grpc.ServicerContext
    ) -> collection_pb2.AddAssetsResponse:
        """Adds assets to a collection."""
        assets = _assets(request.assets)
        added, left = await self.collections.add(self._key(request.name), assets, self.clock.now())
        return collection_pb2.AddAssetsResponse(added=added, left=[f"assets/{sha256}" for sha256 in left])

    async def RemoveAssets(
        self, request: collection_pb2.RemoveAssetsRequest, context: grpc.ServicerContext
    ) -> collection_pb2.RemoveAssetsResponse:
        """Removes assets from a collection."""
        assets = _assets(request.assets)
        removed = await self.collections.remove(self._key(request.name), assets, self.clock.now())
        return collection_pb2.RemoveAssetsResponse(removed=removed)

    def _key(self, name: str, field: str = "name") -> CollectionKey:
        caller = self.callers.caller()
        return CollectionKey(caller.tenant, caller.user, proto_values.resource_id(name, "collections", field=field))


def _before(place: Sequence[str] | None) -> int | None:
    if place is None:
        return None
    [number] = place
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise page_tokens.malformed()
    return int(number)


def _assets(names: Sequence[str]) -> list[str]:
    """Returns the digests in names of assets, each once."""
    if not 1 <= len(names) <= NAMES_MOST:
        what = f"has {len(names)} names; give 1 to {NAMES_MOST:,}"
        raise proto_values.refuse("assets", what, LibraryReason.NAMES_TOO_MANY)
    return list(dict.fromkeys(proto_values.resource_id(name, "assets", field="assets") for name in names))


def _changes(request: collection_pb2.UpdateCollectionRequest) -> CollectionChanges:
    """Returns the new values of the fields that the mask names. Raises InvalidInput."""
    paths, given = proto_values.masked(request.update_mask, FIELDS), request.collection
    cover = given.cover and proto_values.resource_id(given.cover, "assets", field="collection.cover")
    changes = CollectionChanges(
        title=given.title if "title" in paths else None,
        description=given.description if "description" in paths else None,
        cover=cover if "cover" in paths else None,
    )
    _check(changes)
    return changes


def _check(changes: CollectionChanges) -> None:
    if wrong := list(collection.problems(changes)):
        raise InvalidInput(wrong, reason=wrong[0].reason)


def _message(found: Collection) -> collection_pb2.Collection:
    return collection_pb2.Collection(
        name=f"collections/{found.key.id}",
        title=found.title,
        description=found.description,
        cover=f"assets/{found.cover}" if found.cover else "",
        asset_count=found.asset_count,
        etag=str(found.revision),
        create_time=proto_values.timestamp(found.create_time),
        update_time=proto_values.timestamp(found.update_time),
    )
