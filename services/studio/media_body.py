"""MediaBody: a response that streams an asset's bytes, and gives up a reader that takes nothing."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from services.studio.api_error import ApiError
from services.studio.http_connection import abort

log = logging.getLogger(__name__)


class MediaBody(StreamingResponse):
    """A body from the API. If it breaks, the connection is closed, and the client sees that bytes are missing."""

    def __init__(
        self,
        first: bytes,
        chunks: AsyncGenerator[bytes, None],
        status: int,
        headers: Mapping[str, str],
        media_type: str,
        *,
        stall_s: float,
        sent: Callable[[int], None],
    ) -> None:
        """`chunks` come after the first. `sent` is called with the number of bytes that the connection took."""
        super().__init__(chunks, status, headers, media_type)
        self._first = first
        self._chunks = chunks
        self._stall_s = stall_s
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        self._scope = scope
        await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Sends the headers and the bytes."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await self._send_chunk(send, self._first)
            async with aclosing(self._chunks) as chunks:
                async for chunk in chunks:
                    await self._send_chunk(send, chunk)
        except ApiError as error:
            log.warning("a response broke off", extra={"reason": error.failure.reason, "code": error.failure.code.name})
        except TimeoutError:
            log.info("a reader took nothing")
            abort(self._scope)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_chunk(self, send: Send, chunk: bytes) -> None:
        """Sends some bytes. Raises TimeoutError if the reader takes nothing for too long."""
        async with asyncio.timeout(self._stall_s):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        self._sent(len(chunk))
