"""What was used and what it cost: sums, entries of the ledger, statements."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import grpc
from i2v.v1 import usage_pb2, usage_pb2_grpc

from i2v_client import pages
from i2v_client.errors import Unreachable
from i2v_client.failure import Failure
from i2v_client.service_channel import ServiceChannel


class Ledger:
    """The ledger of the caller. Every method raises I2VError."""

    def __init__(self, channel: ServiceChannel) -> None:
        self._channel = channel
        self._usage = usage_pb2_grpc.UsageServiceStub(channel.grpc)

    async def query(self, request: usage_pb2.QueryUsageRequest) -> usage_pb2.QueryUsageResponse:
        """Returns all groups of a question in one answer."""
        whole, asked = usage_pb2.QueryUsageResponse(), usage_pb2.QueryUsageRequest(page_size=200)
        asked.MergeFrom(request)
        while True:
            page = await self._channel.call(self._usage.QueryUsage, asked)
            whole.groups.extend(page.groups)
            if not page.next_page_token:
                whole.total.CopyFrom(page.total)
                whole.start_time.CopyFrom(page.start_time)
                whole.end_time.CopyFrom(page.end_time)
                return whole
            asked.page_token = page.next_page_token

    def entries(
        self, request: usage_pb2.ListLedgerEntriesRequest | None = None
    ) -> AsyncGenerator[usage_pb2.LedgerEntry, None]:
        """Yields entries, the newest first."""
        asked = request or usage_pb2.ListLedgerEntriesRequest(page_size=200)
        return pages.each(self._channel.call, self._usage.ListLedgerEntries, asked, "entries")

    async def statement(
        self, request: usage_pb2.StreamStatementRequest
    ) -> AsyncGenerator[usage_pb2.StreamStatementResponse, None]:
        """Yields the parts of a statement, the trailer last. Raises Unreachable if it ends before that."""
        complete = False
        async with aclosing(self._channel.stream(self._usage.StreamStatement, request)) as responses:
            async for response in responses:
                complete = response.WhichOneof("part") == "trailer"
                yield response
        if not complete:
            early = "The statement ended before its last part. Ask for it again."
            raise Unreachable(Failure(grpc.StatusCode.UNAVAILABLE, early))
