"""Invalid answers: cut off, hostile, or far too large."""

import asyncio
import struct
from functools import lru_cache
from typing import NoReturn

from aiohttp import web

DEEP = b'{"data":' + b"[" * 200_000 + b"]" * 200_000 + b"}"


@lru_cache(maxsize=1)
def padded(video: bytes, size_bytes: int) -> bytes:
    """Returns a video with a box behind it that players pass over. Cached: a download does not wait for a copy."""
    return video + struct.pack(">I4s", size_bytes, b"free") + bytes(size_bytes - 8)


def faulty(how: str) -> web.Response:
    """Returns invalid or hostile JSON."""
    bodies = {
        "garbage": b"<html>502 Bad Gateway</html>",
        "types": b'{"code":[],"data":{"id":{"a":1},"status":7,"outputs":"x"},"request_id":3,"status":{},"video":4}',
        "deep": DEEP,
        "huge": b'{"x":"' + b"x" * 2_000_000 + b'"}',
    }
    return web.Response(body=bodies[how], content_type="application/json")


def abort(request: web.Request) -> NoReturn:
    """Cuts the connection, without an answer or in the middle of one."""
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError


async def half(request: web.Request, body: bytes) -> web.StreamResponse:
    """Sends half of an answer and cuts the connection."""
    response = web.StreamResponse(headers={"content-type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    abort(request)
