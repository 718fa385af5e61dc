"""Blobs on a server, keys and files for them, and what is in them."""

import asyncio
import os
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.orchestrator.blobs.minio import MinioBlobs
from services.orchestrator.blobs.s3_bucket import S3Bucket
from services.orchestrator.ports.blobs import Blobs
from tests.support.s3_fixture import S3Server

MIB = 1 << 20
RUN = secrets.token_hex(6)


def minio(server: S3Server, **changes: Any) -> MinioBlobs:
    given = S3Bucket(server.endpoint, server.access_key, server.secret_key, "i2v-test")
    return MinioBlobs(replace(given, **changes))


def s3_named(name: str, request: pytest.FixtureRequest) -> S3Server:
    """Returns the server `rclone`, `rgw`, or the one `outside` that the environment names. Skips if it is not there."""
    if name != "outside":
        server: S3Server = request.getfixturevalue({"rclone": "s3_server", "rgw": "rgw_server"}[name])
        return server
    names = ("I2V_TEST_S3_ENDPOINT", "I2V_TEST_S3_ACCESS_KEY", "I2V_TEST_S3_SECRET_KEY")
    values = [os.environ.get(each, "") for each in names]
    if not all(values):
        pytest.skip(f"set {', '.join(names)} to test against an S3 of your own, e.g. 127.0.0.1:9000 of a MinIO")
    return S3Server(*values)


def a_key(name: str = "video") -> str:
    return f"tenants/{RUN}/assets/{name}-{secrets.token_hex(4)}"


def a_file(folder: Path, size: int) -> tuple[Path, bytes]:
    data = secrets.token_bytes(min(size, MIB)) * (size // MIB + 1)
    path = folder / f"source-{size}"
    path.write_bytes(data[:size])
    return path, data[:size]


async def content(blobs: Blobs, key: str, offset: int = 0, length: int | None = None) -> bytes:
    chunks = [chunk async for chunk in blobs.read(key, offset=offset, length=length)]
    assert all(0 < len(chunk) <= MIB for chunk in chunks)
    return b"".join(chunks)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110  no event reports what another thread or server has done
            await asyncio.sleep(0.005)


def in_a_process(script: str) -> str:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env={"PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr, done.stderr
    return done.stdout
