"""Calls of UsageService that answer in pages or as a stream."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import grpc
from i2v.v1 import usage_pb2, usage_pb2_grpc

from services.client.client import Client
from services.client.errors import Unreachable
from services.rpc.status_codes import Failure


async def query(client: Client, request: usage_pb2.QueryUsageRequest) -> usage_pb2.QueryUsageResponse:
    """Returns all groups of a question in one answer. Raises I2VError."""
    stub = usage_pb2_grpc.UsageServiceStub(client.channel())
    whole, asked = usage_pb2.QueryUsageResponse(), usage_pb2.QueryUsageRequest(page_size=200)
    asked.MergeFrom(request)
    while True:
        page = await client.call(stub.QueryUsage, asked)
        whole.groups.extend(page.groups)
        if not page.next_page_token:
            whole.total.CopyFrom(page.total)
            whole.start_time.CopyFrom(page.start_time)
            whole.end_time.CopyFrom(page.end_time)
            return whole
        asked.page_token = page.next_page_token


async def entries(
    client: Client, request: usage_pb2.ListLedgerEntriesRequest
) -> AsyncGenerator[usage_pb2.LedgerEntry, None]:
    """Yields entries of the ledger, the newest first. Raises I2VError."""
    stub = usage_pb2_grpc.UsageServiceStub(client.channel())
    asked = usage_pb2.ListLedgerEntriesRequest()
    asked.CopyFrom(request)
    while True:
        page = await client.call(stub.ListLedgerEntries, asked)
        for entry in page.entries:
            yield entry
        if not page.next_page_token:
            return
        asked.page_token = page.next_page_token


@dataclass
class Statement:
    """A statement that is read part by part; header and trailer are there when `parts` has ended."""

    client: Client
    request: usage_pb2.StreamStatementRequest
    header: usage_pb2.StatementHeader = field(default_factory=usage_pb2.StatementHeader)
    trailer: usage_pb2.StatementTrailer = field(default_factory=usage_pb2.StatementTrailer)

    async def parts(self) -> AsyncGenerator[usage_pb2.StreamStatementResponse, None]:
        """Yields every part. Raises I2VError, also if the stream ends before the trailer."""
        stub = usage_pb2_grpc.UsageServiceStub(self.client.channel())
        complete = False
        async with aclosing(self.client.stream(stub.StreamStatement, self.request)) as responses:
            async for response in responses:
                match response.WhichOneof("part"):
                    case "header":
                        self.header = response.header
                    case "trailer":
                        self.trailer, complete = response.trailer, True
                yield response
        if not complete:
            early = "The statement ended before its last part. Ask for it again."
            raise Unreachable(Failure(grpc.StatusCode.UNAVAILABLE, early))

    @property
    def balanced(self) -> bool:
        """Whether the sums of the entries are what the counter has."""
        sums, counted = self.trailer.sums, self.trailer.counted
        return (sums.reserved, sums.spent, sums.credit) == (counted.reserved, counted.spent, counted.credit)
