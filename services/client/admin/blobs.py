"""`i2v admin blobs`: whether the stored bytes are those that the database names."""

import sys
from contextlib import aclosing

import click
from i2v.admin.v1 import blob_pb2, blob_pb2_grpc

from services.client import formatting
from services.client.admin.group import admin
from services.client.client import Client
from services.client.commands import command
from services.client.connection import Connection
from services.client.errors import Unreachable
from services.client.retry import RetryPolicy
from services.client.terminal import say

MB = 1_000_000
RETRY_FOR_S = 600.0


@admin.group()
def blobs() -> None:
    """Looks after the stored bytes."""


@command("scrub", blobs)
@click.option("--mb-per-second", default=50, type=click.IntRange(1, 100_000), help="How fast to read, at most.")
def scrub(connection: Connection, mb_per_second: int) -> None:
    """Reads everything that is stored, and names what is missing, altered or stored for nothing. Changes nothing.

    If the store or the server is away, it waits up to ten minutes and continues where it stopped. Exits with 1 if
    something is missing or altered.
    """

    async def work(client: Client) -> None:
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
