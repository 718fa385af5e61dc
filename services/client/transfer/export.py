"""An export: all that a user has, or all users of a tenant, as files. It changes nothing in the service."""

from collections.abc import AsyncIterable
from contextlib import AbstractAsyncContextManager, ExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any

from i2v.v1 import (
    asset_pb2,
    asset_pb2_grpc,
    collection_pb2,
    collection_pb2_grpc,
    job_pb2,
    share_pb2,
    share_pb2_grpc,
    usage_pb2,
)

from i2v_client import ENDED, AsyncClient
from i2v_client.errors import I2VError, NotFound, Unauthenticated, Unreachable
from services.client.transfer.entry_table import EntryTable
from services.client.transfer.export_folder import ExportFolder
from services.client.transfer.in_order import in_order
from services.client.transfer.index_file import IndexWriter
from services.client.transfer.long_reads import LongReads
from services.client.transfer.records import (
    COLLECTIONS,
    ENTRIES,
    INDEXES,
    JOBS,
    MANIFESTS,
    SHARES,
    USAGE,
    Bytes,
    Record,
)
from services.client.transfer.transfer_bar import TransferBar
from services.reasons import AccessReason

AT_ONCE = 4
PAGE = 500
EVENTS_A_LINE = 2000
"""A job with more has several lines, so that none is too long to be read."""


@dataclass(frozen=True, slots=True)
class OneUser:
    """A user whose things are exported, and a client for this user."""

    user: str
    client: AbstractAsyncContextManager[AsyncClient]


@dataclass(slots=True)
class Exported:
    """What an export has."""

    entries: int = 0
    files: int = 0
    size_bytes: int = 0
    unreadable: list[str] = field(default_factory=list)
    """Assets whose bytes the service could not give."""
    in_trash: int = 0
    left_out: list[str] = field(default_factory=list)
    """What the key has no scope for."""


@dataclass(frozen=True, slots=True)
class Exporting:
    """An export while it is made."""

    folder: ExportFolder
    writers: dict[str, IndexWriter]
    table: EntryTable
    bar: TransferBar
    done: Exported
    with_events: bool

    async def of_user(self, client: AsyncClient, user: str) -> None:
        """Writes all that a user has. Raises I2VError, OSError."""
        await self._entries(client, user)
        await self._collections(client, user)
        if self.folder.subject.filter:
            return
        await self._shares(client, user)
        for what, part in (("jobs", self._jobs), ("usage", self._usage)):
            try:
                await part(client, user)
            except Unauthenticated as error:
                if error.reason != AccessReason.SCOPE_MISSING:
                    raise
                self.bar.say(f"{what} are left out: {error}")
                self.done.left_out.append(what)

    async def _entries(self, client: AsyncClient, user: str) -> None:
        assets: Any = asset_pb2_grpc.AssetServiceStub(client.channel())
        counted = asset_pb2.GetLibraryStatisticsRequest(filter=self.folder.subject.filter)
        self.bar.expect((await client.call(assets.GetLibraryStatistics, counted)).total.assets)

        async def one(asset: asset_pb2.Asset) -> tuple[Record, Any] | None:
            stored, manifest = Bytes.STORED, None
            if asset.HasField("delete_time"):
                return Record(user, asset, Bytes.TRASH), None
            try:
                await self.folder.fetch(LongReads(client), assets, asset)
                if asset.HasField("origin"):
                    manifest = await _manifest(client, asset.name)
            except NotFound:
                return None  # it was deleted meanwhile
            except (Unreachable, Unauthenticated):
                raise
            except I2VError as error:
                self.bar.say(f"{asset.name}: {error}")
                stored = Bytes.UNREADABLE
            self.bar.done()
            return Record(user, asset, stored), manifest

        request = asset_pb2.ListAssetsRequest(
            page_size=PAGE, show_deleted=True, filter=self.folder.subject.filter, order_by="create_time asc"
        )
        async with aclosing(in_order(client.each(assets.ListAssets, request, "assets"), one, AT_ONCE)) as found:
            async for written in found:
                if written is not None:
                    self._write(*written)

    def _write(self, entry: Record, manifest: Any) -> None:
        self.writers[ENTRIES.file].add(entry)
        if manifest is not None:
            self.writers[MANIFESTS.file].add(Record(entry.user, manifest))
        asset, stored = entry.message, entry.stored is Bytes.STORED
        self.table.name(entry.user, asset.name.removeprefix("assets/"), asset.size_bytes, stored=stored)
        self.done.entries += 1
        self.done.in_trash += entry.stored is Bytes.TRASH
        if entry.stored is Bytes.UNREADABLE:
            self.done.unreadable.append(asset.name)

    async def _collections(self, client: AsyncClient, user: str) -> None:
        collections: Any = collection_pb2_grpc.CollectionServiceStub(client.channel())
        assets: Any = asset_pb2_grpc.AssetServiceStub(client.channel())
        all_of_them = collection_pb2.ListCollectionsRequest(page_size=200)
        only = self.folder.subject.filter
        async for collection in client.each(collections.ListCollections, all_of_them, "collections"):
            where = f"collection = {collection.name}" + (f" AND ({only})" if only else "")
            members = asset_pb2.ListAssetsRequest(page_size=PAGE, filter=where, order_by="create_time asc")
            names = [asset.name async for asset in client.each(assets.ListAssets, members, "assets")]
            self.writers[COLLECTIONS.file].add(Record(user, collection, members=tuple(names)))

    async def _shares(self, client: AsyncClient, user: str) -> None:
        shares: Any = share_pb2_grpc.ShareServiceStub(client.channel())
        request = share_pb2.ListSharesRequest(page_size=200)
        async for share in client.each(shares.ListShares, request, "shares"):
            self.writers[SHARES.file].add(Record(user, share))

    async def _jobs(self, client: AsyncClient, user: str) -> None:
        async def one(job: job_pb2.Job) -> tuple[job_pb2.Job, list[job_pb2.JobEvent]]:
            if job.state not in ENDED or not self.with_events:
                return job, []
            try:
                return job, [event async for event in client.watch(job.name)]
            except NotFound:
                return job, []  # it was removed meanwhile

        async with aclosing(in_order(client.jobs(page_size=200), one, AT_ONCE)) as found:
            async for job, events in found:
                for first in range(0, len(events) or 1, EVENTS_A_LINE):
                    record = Record(user, job, events=tuple(events[first : first + EVENTS_A_LINE]))
                    self.writers[JOBS.file].add(record)

    async def _usage(self, client: AsyncClient, user: str) -> None:
        async for booking in client.ledger.entries(usage_pb2.ListLedgerEntriesRequest(page_size=200)):
            self.writers[USAGE.file].add(Record(user, booking))


async def export(
    folder: ExportFolder, users: AsyncIterable[OneUser], bar: TransferBar, *, with_events: bool = False
) -> Exported:
    """Writes an export, or goes on with one that was broken off. Raises I2VError, OSError."""
    folder.begin()
    done = Exported()
    with ExitStack() as opened, EntryTable() as table, bar:
        writers = {index.file: opened.enter_context(IndexWriter(folder.root, index)) for index in INDEXES}
        work = Exporting(folder, writers, table, bar, done, with_events)
        async for one in users:
            async with one.client as client:
                await work.of_user(client, one.user)
        folder.demand_same_library(table)
        indexes = {name: writer.finish() for name, writer in writers.items()}
        folder.remove_others(table)
        done.files, done.size_bytes = table.total()
    folder.end(indexes, done.files, done.size_bytes)
    return done


async def _manifest(client: AsyncClient, name: str) -> Any:
    try:
        return await client.provenance.manifest(name)
    except NotFound:
        return None  # of a job from before there were manifests
