"""Blobs in a bucket of any S3-compatible store: MinIO, Ceph RGW, SeaweedFS, or a cloud's own.

Relies on nothing but PUT (whole or in parts), GET with a range, HEAD, DELETE and lists; clients that get signed
requests also on signatures in URLs and forms. Everything that can go wrong on the way becomes Unavailable
(`s3_errors`); trying again is the caller's decision, so here only a connection that broke is tried once more.
"""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

import urllib3
from minio.error import MinioException, S3Error

from services.errors import NotFound
from services.orchestrator.blobs.blob_key import check_key
from services.orchestrator.blobs.blob_range import check_range
from services.orchestrator.blobs.blob_stream import Source, stream
from services.orchestrator.blobs.s3_bucket import S3Bucket
from services.orchestrator.blobs.s3_errors import failures, is_absent, status, unavailable
from services.orchestrator.blobs.s3_signatures import S3Signatures
from services.orchestrator.ports.blobs import SignedPost, StoredBlob

T = TypeVar("T")

#: A larger file goes up in parts, each of which is in memory once.
PART_BYTES = 16 << 20
#: A check really writes at most this often: a store that keeps versions keeps every one of them.
WRITE_CHECK_S = 60.0

_THREADS = 16
_CHECK_KEY = "checks/writable"


class MinioBlobs:
    """The Blobs port over an S3 bucket, which is made when it does not exist."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._where = bucket.where
        self._bucket = bucket.name
        self._encryption = bucket.encryption
        self._http = bucket.http(4 * _THREADS)
        self._client = bucket.client(self._http)
        self._signatures = S3Signatures(bucket, self._http)
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
                    self._bucket,
                    key,
                    file,
                    length,
                    media_type,
                    sse=self._encryption,
                    part_size=PART_BYTES,
                    num_parallel_uploads=1,
                )
            stored = self._client.stat_object(self._bucket, key).size
            if stored != length:
                raise unavailable(self._where, f"it stored {stored} of {length} bytes")

        await self._run(put)

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Yields `length` bytes from `offset`, all without a length; none when the offset is behind the end."""
        check_key(key)
        check_range(offset, length)
        return stream(self._threads, lambda: self._open(key, offset, length or 0))

    async def size(self, key: str) -> int | None:
        """Returns the stored size in bytes, None when nothing is stored there."""
        check_key(key)

        def measure() -> int | None:
            self._make_bucket()
            try:
                return self._client.stat_object(self._bucket, key).size
            except MinioException as error:
                if is_absent(error):
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
                if not is_absent(error):
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
                if not is_absent(error):
                    raise
            return True

        return await self._run(remove)

    async def stored(self, folder: str, *, after: str, limit: int) -> list[StoredBlob]:
        """Returns what is stored under a folder, in the order of the keys."""

        def look() -> list[StoredBlob]:
            self._make_bucket()
            listed = self._client.list_objects(self._bucket, folder, recursive=True, start_after=after or None)
            return [
                StoredBlob(found.object_name, found.last_modified, found.size or 0)
                for found in islice(listed, limit)
                if found.object_name and found.last_modified
            ]

        return await self._run(look)

    async def signed_url(self, key: str, *, expires_s: int, download_name: str, media_type: str) -> str:
        """Returns a URL that reads a blob straight from the store."""
        check_key(key)
        return self._signatures.get(key, expires_s=expires_s, download_name=download_name, media_type=media_type)

    async def signed_post(self, key: str, *, most_bytes: int, expires_s: int) -> SignedPost:
        """Returns a form that stores one file straight in the store; makes the bucket if it is missing."""
        check_key(key)
        await self._run(self._make_bucket)
        return self._signatures.post(key, most_bytes=most_bytes, expires_s=expires_s)

    async def check(self) -> None:
        """Raises Unavailable when the store cannot be reached, or does not take what we write."""

        def write() -> None:
            self._has_bucket = self._client.bucket_exists(self._bucket)
            if not self._has_bucket or time.monotonic() >= self._writable_until:
                self._make_bucket()
                self._client.put_object(self._bucket, _CHECK_KEY, io.BytesIO(b"\0"), 1, sse=self._encryption)
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

    def _open(self, key: str, offset: int, length: int) -> Source:
        with failures(self._where):
            self._make_bucket()
            try:
                response = self._client.get_object(self._bucket, key, offset=offset, length=length)
            except MinioException as error:
                if is_absent(error):
                    raise NotFound("blob", key.rpartition("/")[2]) from None
                if status(error) == 416:
                    return io.BytesIO()  # the offset is at the end or behind it
                raise
            # 206 or not: rclone answers 200 and names the range in the header.
            ranged = response.headers.get("content-range", "").startswith(f"bytes {offset}-")
            if (offset or length) and not ranged:
                response.close()
                raise unavailable(self._where, "it does not read ranges")
            return _Response(response, self._where)

    async def _run(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            with failures(self._where):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)


class _Response:
    def __init__(self, response: urllib3.BaseHTTPResponse, where: str) -> None:
        self._response = response
        self._where = where

    def read(self, size: int) -> bytes:
        with failures(self._where):
            return self._response.read(size)

    def close(self) -> None:
        # Closes the connection when bytes are left in it; one that was read to its end is back in the pool already.
        self._response.close()
