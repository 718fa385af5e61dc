"""Blobs in a bucket of any S3-compatible store: MinIO, Ceph RGW, SeaweedFS, or a cloud's own.

Relies on nothing but PUT (whole or in parts), GET with a range, HEAD and DELETE. Everything that can go wrong on the
way becomes Unavailable with the store's own word for it, never with a credential; trying again is the caller's
decision, so here only a connection that broke is tried once more.
"""

import asyncio
import io
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from services.errors import NotFound, Unavailable
from services.orchestrator.blobs.blob_key import check_key
from services.orchestrator.blobs.blob_stream import Source, stream
from services.orchestrator.ports.blobs import StoredBlob
from services.reasons import ServiceReason
from services.resource_shortage import shortage

T = TypeVar("T")

CONNECT_TIMEOUT_S = 2.0
#: Silence of the store, not the length of a transfer.
READ_TIMEOUT_S = 10.0
#: A larger file goes up in parts, each of which is in memory once.
PART_BYTES = 16 << 20
#: A check really writes at most this often: a store that keeps versions keeps every one of them.
WRITE_CHECK_S = 60.0

_THREADS = 16
_CHECK_KEY = "checks/writable"


class MinioBlobs:
    """The Blobs port over an S3 bucket, which is made when it does not exist."""

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        *,
        region: str = "us-east-1",
        secure: bool = False,
    ) -> None:
        self._where = f"{endpoint}/{bucket}"
        self._bucket = bucket
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
            # Every request to the store can be repeated; a kept connection that the store has closed is normal.
            retries=urllib3.Retry(total=1, redirect=0, allowed_methods=None, respect_retry_after_header=False),
            maxsize=4 * _THREADS,
            cert_reqs="CERT_REQUIRED",
            ca_certs=certifi.where(),
        )
        self._client = Minio(
            endpoint,
            access_key=access_key,
            secret_key=secret_key,
            secure=secure,
            region=region,
            http_client=self._http,
        )
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")
        self._has_bucket = False
        self._writable_until = 0.0

    def __repr__(self) -> str:
        return f"MinioBlobs({self._where!r})"

    async def put_file(self, key: str, path: Path, *, media_type: str) -> None:
        """Stores a file's bytes. A call that is cancelled may still store them."""
        check_key(key)

        def put() -> None:
            self._make_bucket()
            with path.open("rb") as file:
                length = file.seek(0, io.SEEK_END)
                file.seek(0)
                self._client.put_object(
                    self._bucket, key, file, length, media_type, part_size=PART_BYTES, num_parallel_uploads=1
                )
            stored = self._client.stat_object(self._bucket, key).size
            if stored != length:
                raise Unavailable(
                    f"{self._where} stored {stored} of {length} bytes.", reason=ServiceReason.BLOBS_UNAVAILABLE
                )

        await self._run(put)

    def read(self, key: str, *, offset: int = 0) -> AsyncIterator[bytes]:
        """Yields the bytes from `offset`; none when that is behind the end."""
        check_key(key)
        if offset < 0:
            raise ValueError(f"an offset is not negative: {offset}")
        return stream(self._threads, lambda: self._open(key, offset))

    async def size(self, key: str) -> int | None:
        """Returns the stored size in bytes, None when nothing is stored there."""
        check_key(key)

        def measure() -> int | None:
            self._make_bucket()
            try:
                return self._client.stat_object(self._bucket, key).size
            except MinioException as error:
                if _is_absent(error):
                    return None
                raise

        return await self._run(measure)

    async def delete(self, key: str) -> None:
        """Removes what is stored there; nothing stored is fine."""
        check_key(key)

        def remove() -> None:
            self._make_bucket()
            try:
                self._client.remove_object(self._bucket, key)
            except MinioException as error:
                if not _is_absent(error):
                    raise

        await self._run(remove)

    async def delete_idle(self, key: str, *, idle_s: float) -> bool:
        """Removes what is stored there, unless it was written within the last `idle_s` seconds."""
        check_key(key)

        def remove() -> bool:
            self._make_bucket()
            try:
                written = self._client.stat_object(self._bucket, key).last_modified
                # S3 has no conditional removal: what is written within this one request is lost.
                if written is None or (datetime.now(UTC) - written).total_seconds() < idle_s:  # noqa: TID251
                    return False
                self._client.remove_object(self._bucket, key)
            except MinioException as error:
                if not _is_absent(error):
                    raise
            return True

        return await self._run(remove)

    async def stored(self, folder: str, *, after: str, limit: int) -> list[StoredBlob]:
        """Returns what is stored under a folder, in the order of the keys."""

        def look() -> list[StoredBlob]:
            self._make_bucket()
            listed = self._client.list_objects(self._bucket, folder, recursive=True, start_after=after or None)
            return [
                StoredBlob(found.object_name, found.last_modified)
                for found in islice(listed, limit)
                if found.object_name and found.last_modified
            ]

        return await self._run(look)

    async def check(self) -> None:
        """Raises Unavailable when the store cannot be reached, or does not take what we write."""

        def write() -> None:
            self._has_bucket = self._client.bucket_exists(self._bucket)
            if not self._has_bucket or time.monotonic() >= self._writable_until:
                self._make_bucket()
                self._client.put_object(self._bucket, _CHECK_KEY, io.BytesIO(b"\0"), 1)
                self._writable_until = time.monotonic() + WRITE_CHECK_S

        await self._run(write)

    async def close(self) -> None:
        """Ends the threads once their work is done, and closes the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        self._http.clear()

    def _make_bucket(self) -> None:
        if not self._has_bucket:
            if not self._client.bucket_exists(self._bucket):
                try:
                    self._client.make_bucket(self._bucket)
                except S3Error as error:
                    # Another process was faster.
                    if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                        raise
            self._has_bucket = True

    def _open(self, key: str, offset: int) -> Source:
        with self._failures():
            self._make_bucket()
            try:
                response = self._client.get_object(self._bucket, key, offset=offset)
            except MinioException as error:
                if _is_absent(error):
                    raise NotFound("blob", key.rpartition("/")[2]) from None
                if _status(error) == 416:
                    return io.BytesIO()  # the offset is at the end or behind it
                raise
            # 206 or not: rclone answers 200 and names the range in the header.
            if offset and not response.headers.get("content-range", "").startswith(f"bytes {offset}-"):
                response.close()
                raise Unavailable(
                    f"{self._where} does not read from an offset.", reason=ServiceReason.BLOBS_UNAVAILABLE
                )
            return _Response(response, self._failures)

    async def _run(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            with self._failures():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except MinioException as error:
            raise self._unavailable(_code(error) or f"HTTP status {_status(error)}") from error
        except (urllib3.exceptions.HTTPError, OSError, ParseError, UnicodeDecodeError) as error:
            if (lacking := shortage(error)) is not None:
                raise lacking from error
            raise self._unavailable(type(error).__name__) from error

    def _unavailable(self, what: str) -> Unavailable:
        return Unavailable(
            f"The blob store at {self._where} does not work: {what}.", reason=ServiceReason.BLOBS_UNAVAILABLE
        )


class _Response:
    def __init__(
        self, response: urllib3.BaseHTTPResponse, failures: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._response = response
        self._failures = failures

    def read(self, size: int) -> bytes:
        with self._failures():
            return self._response.read(size)

    def close(self) -> None:
        # Closes the connection when bytes are left in it; one that was read to its end is back in the pool already.
        self._response.close()


def _status(error: MinioException) -> int | None:
    if isinstance(error, S3Error):
        return int(error.response.status)
    if isinstance(error, InvalidResponseError):
        return int(error._code)
    return error.status_code if isinstance(error, ServerError) else None


def _code(error: MinioException) -> str:
    """Returns S3's word for what is wrong, if there is one."""
    if isinstance(error, S3Error):
        return error.code or ""
    # Some servers, rclone for one, send their errors as text/xml, which the client does not read.
    body = error._body if isinstance(error, InvalidResponseError) else None
    found = re.search(r"<Code>(\w{1,64})</Code>", body or "")
    return found[1] if found else ""


def _is_absent(error: MinioException) -> bool:
    return _status(error) == 404 and _code(error) != "NoSuchBucket"
