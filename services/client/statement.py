"""A statement that is read part by part."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from i2v.v1 import usage_pb2

from i2v_client import AsyncClient


@dataclass
class Statement:
    """A statement; header and trailer are there when `parts` has ended."""

    client: AsyncClient
    request: usage_pb2.StreamStatementRequest
    header: usage_pb2.StatementHeader = field(default_factory=usage_pb2.StatementHeader)
    trailer: usage_pb2.StatementTrailer = field(default_factory=usage_pb2.StatementTrailer)

    async def parts(self) -> AsyncGenerator[usage_pb2.StreamStatementResponse, None]:
        """Yields every part. Raises I2VError."""
        async with aclosing(self.client.ledger.statement(self.request)) as responses:
            async for response in responses:
                match response.WhichOneof("part"):
                    case "header":
                        self.header = response.header
                    case "trailer":
                        self.trailer = response.trailer
                yield response

    @property
    def balanced(self) -> bool:
        """Whether the sums of the entries are what the counter has."""
        sums, counted = self.trailer.sums, self.trailer.counted
        return (sums.reserved, sums.spent, sums.credit) == (counted.reserved, counted.spent, counted.credit)
