"""Receives the inputs of a task: writes them to disk, checks them, and removes them after the submission."""

import asyncio
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from services.errors import InvalidInput, Violation
from services.providers.task import Input, Role
from services.reasons import VendorReason

FOLDER = "task-"
SHA256 = re.compile(r"[0-9a-f]{64}")

_OF_FRAMES = re.compile(rb"(?!RIFF|OggS|\x89PNG|\xff\xd8\xff|.{4}ftyp)", re.DOTALL)
"""MP3 and AAC often begin with tags, padding or half a frame. So anything is accepted except another format."""
_HEADS = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "audio/wav": re.compile(rb"RIFF.{4}WAVE", re.DOTALL),
    "audio/mpeg": _OF_FRAMES,
    "audio/flac": re.compile(rb"fLaC|ID3"),
    "audio/ogg": re.compile(rb"OggS"),
    "audio/mp4": re.compile(rb".{4}(ftyp|moov|mdat|wide|pnot)", re.DOTALL),
    "audio/aac": _OF_FRAMES,
}
"""First bytes by media type. Other types are refused. The orchestrator has already probed the files."""


@dataclass(frozen=True, slots=True)
class Announced:
    """An input as the header announces it."""

    role: Role
    media_type: str
    size_bytes: int
    sha256: str

    def unseen(self) -> Input:
        """Returns it as an input without a file."""
        return Input(self.media_type, self.size_bytes)


class Spool:
    """A temporary folder for one task's inputs."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def __aenter__(self) -> "Spool":
        # Not in a thread: a call that is cancelled meanwhile would not remove the folder.
        self._folder = tempfile.TemporaryDirectory(prefix=FOLDER, dir=self._parent, ignore_cleanup_errors=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        # Not in a thread: this must also happen while the call is being cancelled.
        if self._folder is not None:
            self._folder.cleanup()

    async def receive(self, announced: Sequence[Announced], chunks: AsyncIterator[bytes]) -> dict[Role, Input]:
        """Returns the inputs, when the chunks have brought all of them and nothing else.

        Raises:
            InvalidInput: they are not what was announced. Nothing was submitted.
        """
        assert self._folder is not None
        stored = {}
        rest = b""
        for each in announced:
            path = Path(self._folder.name) / each.role.value
            rest = await self._one(each, path, rest, chunks)
            stored[each.role] = Input(each.media_type, each.size_bytes, path)
        if rest or await anext(chunks, None) is not None:
            raise wrong("chunk", "brings more bytes than the inputs have")
        return stored

    async def _one(self, each: Announced, path: Path, rest: bytes, chunks: AsyncIterator[bytes]) -> bytes:
        """Writes one input and returns the bytes after it."""
        digest, missing, head = hashlib.sha256(), each.size_bytes, b""
        with path.open("wb") as file:
            while missing:
                piece = rest or await anext(chunks, b"")
                if not piece:
                    raise wrong("chunk", f"is missing: the {each.role.value} lacks {missing} bytes")
                piece, rest = piece[:missing], piece[missing:]
                if len(head) < 16:
                    head += piece[:16]
                await asyncio.to_thread(_write, file, digest, piece)
                missing -= len(piece)
        if digest.hexdigest() != each.sha256:
            raise wrong("chunk", f"has changed on its way: the checksum of the {each.role.value} is another")
        begins = _HEADS.get(each.media_type)
        if begins is None or not begins.match(head):
            raise wrong("task.inputs", f"have a {each.role.value} that is not of the type that it is said to be")
        return rest


def _write(file: BinaryIO, digest: "hashlib._Hash", piece: bytes) -> None:
    digest.update(piece)
    file.write(piece)


def wrong(field: str, description: str) -> InvalidInput:
    """Returns the refusal of a malformed request; nothing was submitted."""
    return InvalidInput([Violation(field, description)], reason=VendorReason.NOTHING_SUBMITTED)
