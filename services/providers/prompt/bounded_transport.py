"""HTTP towards the language model, bounded: so much of an answer is read and no more, and nothing is unpacked.

A response that is packed could be a thousand times as large once it is open. Redirects are not followed either, which
the client that uses this ensures: the key goes only to the address of the settings.
"""

from collections.abc import AsyncIterator

import httpx2


class TooLarge(httpx2.TransportError):
    """The answer is larger than any that could be used."""


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Another transport, with a limit of bytes for every response."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, limit_bytes: int) -> None:
        self._inner = inner
        self._limit_bytes = limit_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends a request. Raises httpx2.TransportError."""
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        if packed != "identity" or not isinstance(response.stream, httpx2.AsyncByteStream):
            await response.aclose()
            raise TooLarge(f"the answer is packed as {packed[:20]!r}", request=request)
        bounded = _Bounded(response.stream, self._limit_bytes, cut=response.is_error)
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=bounded,
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, limit_bytes: int, *, cut: bool) -> None:
        """`cut`: what is beyond the limit is left out, for an error says what it is by its status."""
        self._inner = inner
        self._left = limit_bytes
        self._cut = cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            self._left -= len(piece)
            if self._left < 0 and self._cut:
                return
            if self._left < 0:
                raise TooLarge("the answer is larger than any that could be used")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
