"""The import of collections: each gets its texts, what it has, and its cover. Nothing is removed from one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from i2v.v1 import collection_pb2, collection_pb2_grpc

from i2v_client import AsyncClient
from i2v_client.errors import InvalidRequest, NotFound
from services.client.transfer.import_entries import Counts, Outcome
from services.client.transfer.library_here import LibraryHere
from services.client.transfer.records import Record
from services.client.transfer.transfer_bar import TransferBar

NAMES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class CollectionImport:
    """The import of one user's collections."""

    client: AsyncClient
    here: LibraryHere
    bar: TransferBar
    counts: Counts
    overwrite: bool
    dry_run: bool

    async def take(self, record: Record) -> None:
        """Imports a collection. Raises I2VError if the server is away."""
        try:
            outcome = await self._one(record)
        except InvalidRequest as error:
            self.bar.say(f"{record.message.name}: {error}")
            outcome = Outcome.REFUSED
        self.counts.add(outcome)

    async def _one(self, record: Record) -> Outcome:
        wanted: collection_pb2.Collection = record.message
        present = await self._get(wanted.name)
        outcome = Outcome.NEW if present is None else Outcome.SAME
        if present is not None and (present.title, present.description) != (wanted.title, wanted.description):
            if not self.overwrite:
                self.bar.say(f"{wanted.name}: it is here with other texts")
                return Outcome.EDITED
            outcome = Outcome.CHANGED
        members = [found.name for name in record.members if (found := self.here.find(name)) is not None]
        if self.dry_run:
            return outcome
        if present is None:
            texts = collection_pb2.Collection(title=wanted.title, description=wanted.description)
            named = wanted.name.removeprefix("collections/")
            request = collection_pb2.CreateCollectionRequest(request_id=named, collection=texts)
            await self.client.call(self._stub.CreateCollection, request)
        elif outcome is Outcome.CHANGED:
            await self._update(wanted.name, "title", "description", title=wanted.title, description=wanted.description)
        await self._fill(wanted.name, members)
        if outcome is not Outcome.SAME:
            await self._choose_cover(wanted)
        return outcome

    async def _get(self, name: str) -> collection_pb2.Collection | None:
        try:
            request = collection_pb2.GetCollectionRequest(name=name)
            found: collection_pb2.Collection = await self.client.call(self._stub.GetCollection, request)
            return found
        except NotFound:
            return None

    async def _fill(self, name: str, members: Sequence[str]) -> None:
        for first in range(0, len(members), NAMES_AT_ONCE):
            some = members[first : first + NAMES_AT_ONCE]
            await self.client.call(self._stub.AddAssets, collection_pb2.AddAssetsRequest(name=name, assets=some))

    async def _choose_cover(self, wanted: collection_pb2.Collection) -> None:
        cover, now = self.here.find(wanted.cover), await self._get(wanted.name)
        if cover is not None and now is not None and now.cover != cover.name:
            try:
                await self._update(wanted.name, "cover", cover=cover.name)
            except NotFound:
                self.bar.say(f"{wanted.name}: its cover is not in it")

    async def _update(self, name: str, *mask: str, **values: str) -> None:
        changed = collection_pb2.Collection(name=name, **values)  # type: ignore[arg-type]
        request = collection_pb2.UpdateCollectionRequest(collection=changed)
        request.update_mask.paths.extend(mask)
        await self.client.call(self._stub.UpdateCollection, request)

    @property
    def _stub(self) -> Any:
        return collection_pb2_grpc.CollectionServiceStub(self.client.channel())
