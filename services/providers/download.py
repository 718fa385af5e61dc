"""Fetches a video from where the vendor says it lies: in chunks, hashed, within limits, and again where it breaks off.

The task is paid for by now, so nothing here gives up at the first trouble: the same URL is asked again, for the rest
where the server can give it, and what was handed on already is held against what comes a second time.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

import httpx

from services.providers.destinations import Destinations, GuardedTransport, NotAllowed
from services.providers.metrics import VendorMeter
from services.providers.vendor import Charge, Failed

log = logging.getLogger(__name__)

CHUNK_BYTES = 896 * 1024
"""What is handed on at a time, and a read of 64 KiB more at most: a message may have 1 MiB. Each of them costs as much
as a few hundred kilobytes do."""
LEAST_BYTES = 64 * 1024
"""But less when many videos come at once, so that what is held does not grow with them."""
HELD_BYTES = 64 * 1024 * 1024
"""What all of them gather together, about."""
CHUNK_S = 0.5
"""And after so long what there is: a caller wants to hear something, and the time of the whole be looked at."""
HEAD_BYTES = 12
"""Enough to tell a video by."""
REDIRECTS = 3
_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadLimits:
    """What a download may take."""

    size_bytes: int = 500_000_000
    connect_s: float = 10.0
    stall_s: float = 10.0
    """Without a byte. Short, because it costs little to ask for the rest, and a caller wants to hear something."""
    whole_s: float = 1800.0
    tries: int = 4
    """In a row that bring nothing new."""
    pause_s: float = 0.5
    """After the first of them; each further one doubles it."""


class Downloader:
    """Fetches videos from the hosts of a list."""

    def __init__(self, destinations: Destinations, limits: DownloadLimits, meter: VendorMeter) -> None:
        self._limits = limits
        self._meter = meter
        transport = GuardedTransport(destinations, httpx.Limits(max_connections=None, max_keepalive_connections=20))
        timeout = httpx.Timeout(limits.stall_s, connect=limits.connect_s, pool=None)
        self._client = httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False, timeout=timeout)
        self._coming: set[object] = set()

    def start(self, url: str) -> "Download":
        """Returns a download that has not begun."""
        return Download(self._client, url, self._limits, self._meter, self._coming)

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.aclose()


class _Broken(Exception):
    """This try brought not all of it."""


class Download:
    """One video on its way. `size_bytes` and `sha256` are of what was yielded so far."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        limits: DownloadLimits,
        meter: VendorMeter,
        coming: set[object],
    ) -> None:
        """`coming` are the downloads that share the memory: it is one of them while it brings something."""
        self._client = client
        self._coming = coming
        self._url = url
        self._limits = limits
        self._meter = meter
        self._hash = hashlib.sha256()
        self._etag = ""
        self.size_bytes = 0
        self.whole_bytes: int | None = None
        """As the server says, where it does."""

    @property
    def sha256(self) -> str:
        """Hexadecimal digits."""
        return self._hash.hexdigest()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yields the video, and nothing (`b""`) before each pause.

        Raises:
            Failed: OUTPUT_UNAVAILABLE or OUTPUT_WRONG. The task was charged.
        """
        loop = asyncio.get_running_loop()
        ends, fruitless = loop.time() + self._limits.whole_s, 0
        while True:
            before = self.size_bytes
            try:
                async for chunk in self._once():
                    self._take(chunk)
                    yield chunk
                    if loop.time() > ends:
                        raise _unavailable(f"It took longer than {self._limits.whole_s:.0f} seconds.")
                if self.size_bytes == 0:
                    raise _Broken("empty")
                return
            except (NotAllowed, UnicodeError) as error:  # a name that cannot be one is not looked up
                raise _unavailable("It lies where this provider may not go; see its output hosts.") from error
            except (httpx.HTTPError, httpx.InvalidURL, _Broken) as error:
                fruitless = 1 if self.size_bytes > before else fruitless + 1
                cause = str(error) if isinstance(error, _Broken) else type(error).__name__
                log.warning("download broke off", extra={"cause": cause, "at_bytes": self.size_bytes})
                if fruitless >= self._limits.tries or loop.time() > ends:
                    raise _unavailable(f"The last try ended with: {cause}.") from error
            yield b""
            await asyncio.sleep(self._limits.pause_s * 2 ** (fruitless - 1))

    def _take(self, chunk: bytes) -> None:
        if self.size_bytes == 0 and not is_video(chunk):
            raise Failed("The vendor's file is no video.", reason="OUTPUT_WRONG", charge=Charge.CHARGED, resumable=True)
        self._check_size(self.size_bytes + len(chunk))
        self._hash.update(chunk)
        self.size_bytes += len(chunk)
        self._meter.fetched(len(chunk))

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._limits.size_bytes:
            raise Failed(
                f"The vendor's video is larger than the {self._limits.size_bytes} bytes that are allowed.",
                reason="OUTPUT_WRONG",
                charge=Charge.CHARGED,
            )

    async def _once(self) -> AsyncGenerator[bytes, None]:
        """Yields what comes after what was yielded already. The first chunk suffices to tell a video by."""
        response = await self._open()
        self._coming.add(self)
        try:
            skip = 0 if response.status_code == 206 else self.size_bytes
            again, head = hashlib.sha256(), b""
            async for chunk in gathered(response.aiter_raw(), lambda: chunk_bytes(len(self._coming))):
                if skip:
                    seen, chunk = chunk[:skip], chunk[skip:]
                    again.update(seen)
                    skip -= len(seen)
                    if skip == 0 and again.digest() != self._hash.digest():
                        raise _unavailable("It changed between two tries.")
                head += chunk
                if head and (self.size_bytes or len(head) >= HEAD_BYTES):
                    yield head
                    head = b""
            if head:
                yield head
            if skip or (self.whole_bytes is not None and self.size_bytes < self.whole_bytes):
                raise _Broken("cut short")
        finally:
            self._coming.discard(self)
            await response.aclose()

    async def _open(self) -> httpx.Response:
        """Returns an answer that has the video, from where we are or from its beginning."""
        headers = {"accept-encoding": "identity"}
        if self.size_bytes:
            headers["range"] = f"bytes={self.size_bytes}-"
            if self._etag:
                headers["if-range"] = self._etag
        url = httpx.URL(self._url)
        for _ in range(REDIRECTS + 1):
            request = self._client.build_request("GET", url, headers=headers)
            response = await self._client.send(request, stream=True)
            self._meter.requested("output", f"{response.status_code // 100}xx")
            if not response.has_redirect_location:
                break
            await response.aclose()
            url = url.join(response.headers["location"])
        try:
            self._check(response)
        except (_Broken, Failed):
            await response.aclose()
            raise
        return response

    def _check(self, response: httpx.Response) -> None:
        if response.status_code not in (200, 206):
            raise _Broken(f"HTTP {response.status_code}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise _Broken("packed, though that was not asked for")
        if response.status_code == 206:
            found = _RANGE.fullmatch(response.headers.get("content-range", ""))
            if found is None or int(found[1]) != self.size_bytes or self.size_bytes == 0:
                raise _Broken("another range than was asked for")
            whole = found[2]
        else:
            whole = response.headers.get("content-length", "*")
        if whole.isascii() and whole.isdigit() and len(whole) < 16:
            self.whole_bytes = int(whole)
            self._check_size(self.whole_bytes)
        etag = response.headers.get("etag", "")
        self._etag = etag if etag.startswith('"') else ""


def chunk_bytes(downloads: int) -> int:
    """Returns what each of so many downloads gathers before it hands it on."""
    return min(CHUNK_BYTES, max(LEAST_BYTES, HELD_BYTES // max(1, downloads)))


async def gathered(pieces: AsyncIterator[bytes], enough: Callable[[], int]) -> AsyncGenerator[bytes, None]:
    """Yields what comes in pieces of some size, and before any error of theirs what had come by then."""
    loop, held, size, began = asyncio.get_running_loop(), list[bytes](), 0, 0.0
    try:
        async for piece in pieces:
            began = began if held else loop.time()
            held.append(piece)
            size += len(piece)
            if size >= enough() or loop.time() - began >= CHUNK_S:
                yield b"".join(held)
                held, size = [], 0
    except httpx.HTTPError:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def is_video(head: bytes) -> bool:
    """Whether bytes begin as MP4 (or another file of its family) or WebM do."""
    return head[4:8] == b"ftyp" or head.startswith(b"\x1a\x45\xdf\xa3")


def _unavailable(detail: str) -> Failed:
    return Failed(
        f"The vendor has made the video, but it could not be fetched. {detail}",
        reason="OUTPUT_UNAVAILABLE",
        charge=Charge.CHARGED,
        resumable=True,
    )
