"""The bodies of requests. Each is bounded while it is read, and so are all together."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from services import bounded_json
from services.reasons import HttpReason
from services.studio.fair_share import FairShare
from services.studio.refused_request import RefusedRequest

BYTES_MOST = 15 * 2**20
"""A picture of 10 MB in base64, and the fields around it."""
BYTES_AT_A_TIME = 8 * BYTES_MOST
"""Of all bodies that are held; those of one key have at most half. What is read from them needs twice as much: a
quarter of a gigabyte."""
SECONDS_MOST = 60.0
"""For a whole body."""

Read = TypeVar("Read")
Chunks = AsyncGenerator[bytes, None]


class Bodies:
    """The bodies that are held now."""

    def __init__(self, most: int = BYTES_AT_A_TIME, seconds: float = SECONDS_MOST) -> None:
        self._held, self._seconds = FairShare(most), seconds

    @asynccontextmanager
    async def of(
        self, request: Request, owner: str, read: Callable[[Request, Chunks], Awaitable[Read]], most: int = BYTES_MOST
    ) -> AsyncIterator[Read]:
        """Reads the body of a request, of at most so many bytes, and holds it for an owner during the block.

        Raises:
            RefusedRequest: it is too large or too slow, breaks off, or `read` refuses it.
        """
        held = 0

        async def chunks() -> Chunks:
            nonlocal held
            if int(request.headers.get("content-length", "0")) > most:
                raise _too_large(most)
            async for chunk in request.stream():
                held += len(chunk)
                fair = self._held.take(owner, len(chunk))
                if held > most:
                    raise _too_large(most)
                if not fair:
                    sentence = "Too many requests with pictures arrive now. Try again in a moment."
                    raise RefusedRequest(sentence, reason=HttpReason.BODIES_FULL, status=503)
                yield chunk

        try:
            yield await self._in_time(read(request, chunks()))
        finally:
            self._held.give(owner, held)

    async def _in_time(self, reading: Awaitable[Read]) -> Read:
        try:
            async with asyncio.timeout(self._seconds):
                return await reading
        except TimeoutError as error:
            sentence = f"The request took longer than {self._seconds:.0f} seconds to arrive."
            headers = {"Connection": "close"}
            raise RefusedRequest(sentence, reason=HttpReason.BODY_SLOW, status=408, headers=headers) from error
        except ClientDisconnect as error:
            raise RefusedRequest("The request broke off.", reason=HttpReason.BODY_MALFORMED) from error


def _too_large(most: int) -> RefusedRequest:
    sentence = f"The request has more than {most} bytes."
    return RefusedRequest(sentence, reason=HttpReason.BODY_TOO_LARGE, status=413)


def content_type(request: Request) -> str:
    """Returns the media type of a body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def json_object(body: bytes) -> Mapping[str, object]:
    """Returns the object of a body. Raises RefusedRequest."""
    try:
        value = bounded_json.strict(body)
    except ValueError as error:
        sentence = f"The body is no JSON that is read here: {error}."
        raise RefusedRequest(sentence, reason=HttpReason.JSON_MALFORMED) from error
    if not isinstance(value, dict):
        raise RefusedRequest("The body is no JSON object.", reason=HttpReason.JSON_MALFORMED)
    return value
