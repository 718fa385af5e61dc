"""Where the issuer's keys come from: a file, or a URL that is fetched with bounds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from services.outbound.destinations import Destinations, GuardedTransport, guarded_client

DOCUMENT_BYTES = 256 * 1024
FETCH_S = 10.0
"""Seconds that a fetch may take in all."""


class KeysUnreadable(Exception):
    """The list of keys cannot be fetched or read."""


class JwksFile:
    """A list of keys in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def load(self) -> bytes:
        """Returns the file. Raises KeysUnreadable."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as opened:
                document = opened.read(DOCUMENT_BYTES + 1)
        except OSError as error:
            raise KeysUnreadable(f"{self._path}: {error.strerror}") from None
        return _bounded(document)


class JwksUrl:
    """A list of keys at a URL. Redirects are not followed."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._client = client

    async def load(self) -> bytes:
        """Fetches the list. Raises KeysUnreadable."""
        try:
            async with asyncio.timeout(FETCH_S), self._client.stream("GET", self._url) as response:
                if response.status_code != httpx.codes.OK:
                    raise KeysUnreadable(f"the URL answers with status {response.status_code}")
                document = b""
                async for chunk in response.aiter_bytes():
                    document = _bounded(document + chunk)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise KeysUnreadable(f"the URL cannot be fetched: {type(error).__name__} {error}".strip()) from None
        return document


def _bounded(document: bytes) -> bytes:
    if len(document) > DOCUMENT_BYTES:
        raise KeysUnreadable(f"it has more than {DOCUMENT_BYTES} bytes")
    return document


@asynccontextmanager
async def jwks_client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Gives a client that reaches the host of the URL alone. An operator chose it, so it may be in our own network."""
    target = httpx.URL(url)
    named = target.host if target.port is None else f"{target.host}:{target.port}"
    destinations = Destinations([named], is_public=lambda address: True)
    transport = GuardedTransport(destinations, httpx.Limits(max_connections=1))
    async with guarded_client(transport, httpx.Timeout(FETCH_S)) as client:
        yield client
