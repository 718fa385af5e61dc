"""Request bodies whose inputs stay on disk: read, encoded and sent a piece at a time, never whole in memory."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.providers.task import Input

PIECE_BYTES = 3 * 64 * 1024
"""A multiple of three, so that the pieces' base64 can simply be joined."""


class Unreadable(Exception):
    """An input could not be read, so its request was interrupted."""


@dataclass(frozen=True, slots=True)
class Inline:
    """A value of a JSON body: an input as base64, behind a prefix such as `data:image/png;base64,`."""

    given: Input
    prefix: str = ""


def data_uri(given: Input) -> Inline:
    """Returns an input as a data URI."""
    return Inline(given, f"data:{given.media_type};base64,")


@dataclass(frozen=True, slots=True)
class RequestBody:
    """A body of a known length."""

    content_type: str
    parts: tuple[bytes | Inline | Path, ...]

    @property
    def length(self) -> int:
        """Bytes of the whole."""
        return sum(_length(part) for part in self.parts)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yields the body, reading files as it goes."""
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
            elif isinstance(part, Path):
                async for piece in _read(part):
                    yield piece
            else:
                yield part.prefix.encode()
                async for piece in _read(part.given.path):
                    yield base64.b64encode(piece)


def json_body(fields: Mapping[str, object]) -> RequestBody:
    """Returns an object as JSON; a value that is Inline becomes a string of its own length."""
    parts: list[bytes | Inline | Path] = []
    text = b"{"
    for number, (key, value) in enumerate(fields.items()):
        text += (b"," if number else b"") + json.dumps(key).encode() + b":"
        if isinstance(value, Inline):
            parts += [text + b'"', value]
            text = b'"'
        else:
            text += json.dumps(value, ensure_ascii=False).encode()
    return RequestBody("application/json", (*parts, text + b"}"))


def file_body(given: Input, name: str) -> RequestBody:
    """Returns an input as the field `file` of a multipart form."""
    boundary = secrets.token_hex(16)
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {given.media_type}\r\n\r\n"
    )
    tail = f"\r\n--{boundary}--\r\n"
    return RequestBody(f"multipart/form-data; boundary={boundary}", (head.encode(), given.path, tail.encode()))


def raw_body(given: Input) -> RequestBody:
    """Returns an input as it is."""
    return RequestBody(given.media_type, (given.path,))


def _length(part: bytes | Inline | Path) -> int:
    if isinstance(part, bytes):
        return len(part)
    if isinstance(part, Path):
        return part.stat().st_size
    return len(part.prefix.encode()) + (part.given.size_bytes + 2) // 3 * 4


async def _read(path: Path) -> AsyncIterator[bytes]:
    try:
        # Opened here, not in a thread: a request that is cancelled meanwhile would leave it open.
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece
    except (OSError, RuntimeError, MemoryError) as error:
        raise Unreadable("an input cannot be read") from error
