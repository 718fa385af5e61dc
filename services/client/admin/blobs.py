"""`i2v admin blobs`: whether the stored bytes are those that the database names, and where they are stored."""

import sys
from contextlib import aclosing

import click
from i2v.admin.v1 import blob_pb2, blob_pb2_grpc

from i2v_client import AsyncClient
from i2v_client.errors import Unreachable
from i2v_client.retry import RetryPolicy
from services.client import formatting
from services.client.admin.group import admin
from services.client.commands import command
from services.client.connection import Connection
from services.client.terminal import say

MB = 1_000_000
RETRY_FOR_S = 600.0
MB_PER_SECOND = click.option(
    "--mb-per-second",
    default=50,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Megabytes to read in a second, at most.",
)


@admin.group()
def blobs() -> None:
    """Looks after the stored bytes."""


@command("scrub", blobs)
@MB_PER_SECOND
def scrub(connection: Connection, mb_per_second: int) -> None:
    """Reads everything that is stored, and names what is missing, altered or stored for nothing. Changes nothing.

    If the store or the server is away, it waits up to ten minutes and continues where it stopped. Exits with 1 if
    something is missing or altered.
    """

    async def work(client: AsyncClient) -> None:
        stub = blob_pb2_grpc.BlobServiceStub(client.channel())
        request = blob_pb2.ScrubBlobsRequest(bytes_per_second=mb_per_second * MB)
        looked_at = bytes_read = broken = 0
        retry = RetryPolicy(RETRY_FOR_S)
        while True:
            last = blob_pb2.ScrubBlobsResponse()
            try:
                async with aclosing(client.stream(stub.ScrubBlobs, request)) as responses:
                    async for last in responses:
                        retry.contact()
                        request.phase, request.key = last.phase, last.key
                        broken += last.fault in (last.MISSING, last.ALTERED)
                        if connection.json:
                            say(formatting.as_json(last))
                        elif last.fault:
                            say(f"{blob_pb2.ScrubBlobsResponse.Fault.Name(last.fault).lower()}: {last.key}")
                        else:
                            say(f"{looked_at + last.blobs} keys, {(bytes_read + last.bytes_read) // MB} MB", err=True)
            except Unreachable as error:
                looked_at, bytes_read = looked_at + last.blobs, bytes_read + last.bytes_read
                await retry.wait(error)
            else:
                break
        if not connection.json:
            say(f"{looked_at + last.blobs} keys looked at; {broken} missing or altered.")
        if broken:
            sys.exit(1)

    connection.run(work)


@command("copy", blobs)
@MB_PER_SECOND
@click.option("--dry-run", is_flag=True, help="Only count what would be copied.")
def copy(connection: Connection, mb_per_second: int, dry_run: bool) -> None:
    """Copies everything from the old store (I2V_BLOBS_OLD) to the new one, while the service uses both.

    You may interrupt it anywhere and run it again: what is copied is not copied twice. Nothing is removed from the old
    store. If a store or the server is away, it waits up to ten minutes and continues where it stopped. Exits with 1 if
    something is missing, altered, or not copied yet.
    """

    async def work(client: AsyncClient) -> None:
        request = blob_pb2.CopyBlobsRequest(bytes_per_second=mb_per_second * MB, dry_run=dry_run)
        total = await copied(client, connection, request)
        if not connection.json:
            say(summary(total), verdict(total, dry_run))
        if total.altered or total.missing or total.waiting:
            sys.exit(1)

    connection.run(work)


async def copied(
    client: AsyncClient, connection: Connection, request: blob_pb2.CopyBlobsRequest
) -> blob_pb2.CopyBlobsCounts:
    """Runs a copy to its end, and shows how far it is. Returns what became of the keys."""
    stub, retry = blob_pb2_grpc.BlobServiceStub(client.channel()), RetryPolicy(RETRY_FOR_S)
    before = blob_pb2.CopyBlobsCounts()
    while True:
        last = blob_pb2.CopyBlobsResponse()
        try:
            async with aclosing(client.stream(stub.CopyBlobs, request)) as responses:
                async for last in responses:
                    retry.contact()
                    request.phase, request.key = last.phase, last.key
                    if connection.json:
                        say(formatting.as_json(last))
                    elif last.fault:
                        say(f"{blob_pb2.CopyBlobsResponse.Fault.Name(last.fault).lower()}: {last.key}")
                    else:
                        say(summary(added(before, last.counts)), err=True)
        except Unreachable as error:
            before = added(before, last.counts)
            await retry.wait(error)
        else:
            return added(before, last.counts)


def added(one: blob_pb2.CopyBlobsCounts, other: blob_pb2.CopyBlobsCounts) -> blob_pb2.CopyBlobsCounts:
    """Returns the sum of two counts."""
    names = [field.name for field in one.DESCRIPTOR.fields]
    return blob_pb2.CopyBlobsCounts(**{name: getattr(one, name) + getattr(other, name) for name in names})


def summary(counts: blob_pb2.CopyBlobsCounts) -> str:
    """Returns counts as a line."""
    return (
        f"{counts.copied} copied ({counts.copied_bytes // MB} MB), {counts.present} present, "
        f"{counts.deleted} deleted meanwhile, {counts.waiting} waiting, {counts.altered} altered, "
        f"{counts.missing} missing"
    )


def verdict(counts: blob_pb2.CopyBlobsCounts, dry_run: bool) -> str:
    """Returns what to do next."""
    if dry_run:
        return "Nothing was copied: it was a dry run."
    if counts.altered or counts.missing:
        return "Something is lost: keep the old store, and look at the keys above."
    if counts.waiting:
        return "Jobs or uploads under way are in the old store. Run this again when they have ended."
    if counts.copied:
        return "Run this again, until nothing is left to copy."
    return "Nothing is left to copy: I2V_BLOBS_OLD can be removed."


@command("configure", blobs)
@click.option("--origin", "origins", multiple=True, help="A page that may upload, as https://HOST; repeatable.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
def configure(connection: Connection, origins: tuple[str, ...], dry_run: bool) -> None:
    """Writes the rules that the service needs to its S3 bucket, and says what else is to be looked at there.

    Rules of others stay. Without --origin the bucket's CORS rules stay as they are. Exits with 1 if the store does not
    take the rules.
    """

    async def work(client: AsyncClient) -> None:
        stub = blob_pb2_grpc.BlobServiceStub(client.channel())
        request = blob_pb2.ConfigureBlobsRequest(origins=origins, dry_run=dry_run)
        found = await client.call(stub.ConfigureBlobs, request)
        if connection.json:
            say(formatting.as_json(found))
        else:
            for item in found.items:
                state = blob_pb2.BucketItem.State.Name(item.state).lower()
                say(f"{item.name}: {state}. {item.detail}", *(f"  {line}" for line in item.changes))
        needed = ("life-cycle rules", "CORS") if origins else ("life-cycle rules",)
        bad = (blob_pb2.BucketItem.UNSUPPORTED, blob_pb2.BucketItem.FAILED)
        if any(item.name in needed and item.state in bad for item in found.items):
            sys.exit(1)

    connection.run(work)
