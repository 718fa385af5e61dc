"""Downloads a vendor's video: in chunks, hashed, within limits, and resumed where it breaks off.

The task is already paid for, so the download does not give up while there may still be a video. It requests the same
URL again, with growing pauses: only the rest of the file if the server supports that, otherwise the whole file, which
is compared with the bytes that were passed on already. Only a permanent answer ends a download early: the file is gone,
or is refused repeatedly.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic

import httpx

from services.outbound.destinations import Destinations, GuardedTransport, NotAllowed, guarded_client
from services.outbound.http_span import http_span, note_status
from services.providers.byte_chunks import chunk_bytes, joined_chunks
from services.providers.metrics import VendorMeter
from services.providers.vendor import Charge, Failed
from services.providers.video_signature import HEAD_BYTES, is_video, other
from services.reasons import VendorReason

log = logging.getLogger(__name__)

REDIRECTS = 3
REFUSALS = 4
GONE = 410
LATER = (408, 416, 425, 429)
"""The statuses below 500 that are no refusal: another try may succeed."""
EMPTY_CHUNK_S = 5.0
"""Seconds between two empty chunks during a pause."""
_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadLimits:
    """The limits of a download."""

    size_bytes: int = 500_000_000
    connect_s: float = 10.0
    stall_s: float = 10.0
    """Without a byte. Short, because a request for the rest costs little, and the caller expects events."""
    total_s: float = 1800.0
    pause_s: float = 0.5
    """Seconds after a try that brings no new bytes; each further one doubles the pause."""
    longest_pause_s: float = 30.0
    """Seconds of a pause, at most."""
    refused_s: float = 60.0
    """Seconds: a refusal is final when it was the only answer for this time, and at least `REFUSALS` times."""


class Downloader:
    """Downloads videos from the hosts of a list."""

    def __init__(self, destinations: Destinations, limits: DownloadLimits, meter: VendorMeter) -> None:
        self._limits = limits
        self._meter = meter
        transport = GuardedTransport(destinations, httpx.Limits(max_connections=None, max_keepalive_connections=20))
        timeout = httpx.Timeout(limits.stall_s, connect=limits.connect_s, pool=None)
        self._client = guarded_client(transport, timeout)
        self._active: set[object] = set()

    def start(self, url: str) -> "Download":
        """Returns a download that has not begun."""
        return Download(self._client, url, self._limits, self._meter, self._active)

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.aclose()


class _Broken(Exception):
    """This try did not return the complete file; another may."""


class _Refused(Exception):
    """The server refuses the video. `failed` is the result if it repeats that."""

    def __init__(self, cause: str, failed: Failed, *, permanent: bool = False) -> None:
        self.failed = failed
        self.permanent = permanent
        super().__init__(cause)


class _Refusals:
    """Refusals in a row."""

    def __init__(self, limits: DownloadLimits) -> None:
        self._limits = limits
        self._number, self._since = 0, 0.0

    def are_final(self, refused: _Refused, now: float) -> bool:
        """Counts a refusal. Returns whether it is final."""
        self._since = self._since if self._number else now
        self._number += 1
        return refused.permanent or (self._number >= REFUSALS and now - self._since >= self._limits.refused_s)

    def end(self) -> None:
        """Resets the count after another answer."""
        self._number = 0


class Download:
    """The download of one video. `size_bytes` and `sha256` are of the bytes yielded so far."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        limits: DownloadLimits,
        meter: VendorMeter,
        active: set[object],
    ) -> None:
        """`active` are the downloads that share the memory; this one is in it while bytes arrive."""
        self._client = client
        self._active = active
        self._url = url
        self._limits = limits
        self._meter = meter
        self._hash = hashlib.sha256()
        self._etag = ""
        self._takes_ranges = True
        self.size_bytes = 0
        self.total_bytes: int | None = None
        """If the server states it."""

    @property
    def sha256(self) -> str:
        """Hexadecimal digits."""
        return self._hash.hexdigest()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yields the video, and nothing (`b""`) during pauses, every few seconds.

        Raises:
            Failed: OUTPUT_UNAVAILABLE or OUTPUT_WRONG. The task was charged. Retryable: a later try may succeed.
        """
        loop = asyncio.get_running_loop()
        ends, failed_tries, refusals = loop.time() + self._limits.total_s, 0, _Refusals(self._limits)
        while True:
            before, cause = self.size_bytes, "it was still arriving"
            try:
                async with aclosing(self._once()) as chunks:
                    async for chunk in chunks:
                        self._take(chunk)
                        yield chunk
                        if loop.time() > ends:
                            break
                    else:
                        if self.size_bytes:
                            return
                        raise _Broken("empty")
            except (NotAllowed, httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
                raise _unavailable(
                    "It is on a host that this provider may not connect to; see its output hosts."
                ) from error
            except _Refused as refused:
                if refusals.are_final(refused, loop.time()):
                    raise refused.failed from refused
                cause = str(refused)
            except (httpx.HTTPError, _Broken) as error:
                refusals.end()
                cause = str(error) if isinstance(error, _Broken) else type(error).__name__
            left_s = ends - loop.time()
            if left_s <= 0:
                detail = f"It did not come within {self._limits.total_s:.0f} seconds. The last try ended with: {cause}."
                raise _unavailable(detail, again=True)
            failed_tries = 1 if self.size_bytes > before else failed_tries + 1
            log.warning(
                "download broke off", extra={"cause": cause, "at_bytes": self.size_bytes, "tries": failed_tries}
            )
            async for empty in self._pause(min(left_s, self._limits.longest_pause_s), failed_tries):
                yield empty

    async def _pause(self, most_s: float, failed_tries: int) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        ends = loop.time() + min(most_s, self._limits.pause_s * 2 ** min(failed_tries - 1, 20))
        while (left_s := ends - loop.time()) > 0:
            yield b""
            await asyncio.sleep(min(left_s, EMPTY_CHUNK_S))

    def _take(self, chunk: bytes) -> None:
        if self.size_bytes == 0 and not is_video(chunk):
            # A host that is down may answer with an error page; but a picture will not become a video.
            what = other(chunk)
            raise _Refused(what or "no video", _no_video(what), permanent=bool(what))
        self._check_size(self.size_bytes + len(chunk))
        self._hash.update(chunk)
        self.size_bytes += len(chunk)
        self._meter.fetched(len(chunk))

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._limits.size_bytes:
            raise Failed(
                f"The vendor's video is larger than the {self._limits.size_bytes} bytes that are allowed.",
                reason=VendorReason.OUTPUT_WRONG,
                charge=Charge.CHARGED,
            )

    async def _once(self) -> AsyncGenerator[bytes, None]:
        """Yields the bytes that follow those yielded already. The first chunk suffices to recognise a video."""
        response = await self._open()
        self._active.add(self)
        try:
            skip = 0 if response.status_code == 206 else self.size_bytes
            again, head = hashlib.sha256(), b""
            async for chunk in joined_chunks(response.aiter_raw(), lambda: chunk_bytes(len(self._active))):
                if skip:
                    seen, chunk = chunk[:skip], chunk[skip:]
                    again.update(seen)
                    skip -= len(seen)
                    if skip == 0 and again.digest() != self._hash.digest():
                        raise _unavailable("It changed between two tries.", again=True)
                head += chunk
                if head and (self.size_bytes or len(head) >= HEAD_BYTES):
                    yield head
                    head = b""
            if head:
                yield head
            if skip or (self.total_bytes is not None and self.size_bytes < self.total_bytes):
                raise _Broken("cut short")
        finally:
            self._active.discard(self)
            await response.aclose()

    async def _open(self) -> httpx.Response:
        """Returns a response with the video, from the next byte or from its beginning."""
        headers = {"accept-encoding": "identity"}
        if self.size_bytes and self._takes_ranges:
            headers["range"] = f"bytes={self.size_bytes}-"
            if self._etag:
                headers["if-range"] = self._etag
        url = httpx.URL(self._url)
        for _ in range(REDIRECTS + 1):
            request = self._client.build_request("GET", url, headers=headers)
            began = monotonic()
            with http_span("GET", url, "/{video}") as span:
                response = await self._client.send(request, stream=True)
                note_status(span, response.status_code)
            self._meter.requested("output", f"{response.status_code // 100}xx", monotonic() - began)
            if not response.has_redirect_location:
                break
            await response.aclose()
            url = url.join(response.headers["location"])
        try:
            self._check(response)
        except (_Broken, _Refused, Failed):
            await response.aclose()
            raise
        return response

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if 400 <= status < 500 and status not in LATER:
            cause = f"HTTP {status}"
            raise _Refused(cause, _unavailable(f"Its host answers with {cause}."), permanent=status == GONE)
        self._takes_ranges = self._takes_ranges and status != 416
        if status not in (200, 206):
            raise _Broken(f"HTTP {status}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise _Broken("compressed, although that was not requested")
        if status == 206:
            found = _RANGE.fullmatch(response.headers.get("content-range", ""))
            if found is None or int(found[1]) != self.size_bytes or self.size_bytes == 0:
                self._takes_ranges = False
                raise _Broken("another range than requested")
            whole = found[2]
        else:
            whole = response.headers.get("content-length", "*")
        if whole.isascii() and whole.isdigit() and len(whole) < 16:
            self.total_bytes = int(whole)
            self._check_size(self.total_bytes)
        etag = response.headers.get("etag", "")
        self._etag = etag if etag.startswith('"') else ""


def _no_video(what: str) -> Failed:
    found = f"{what}; MP4, QuickTime, WebM and Matroska can be delivered" if what else "no video"
    return Failed(
        f"The vendor's file is {found}.", reason=VendorReason.OUTPUT_WRONG, charge=Charge.CHARGED, resumable=True
    )


def _unavailable(detail: str, *, again: bool = False) -> Failed:
    """`again`: another try may succeed."""
    return Failed(
        f"The vendor has made the video, but it could not be fetched. {detail}",
        reason=VendorReason.OUTPUT_UNAVAILABLE,
        charge=Charge.CHARGED,
        retryable=again,
        resumable=True,
    )
