"""The pictures of a batch's jobs: each is uploaded once, also over several calls."""

import asyncio
import errno
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from i2v.v1 import library_pb2

from i2v_client.upload_files import Upload
from services.client.batch.commits import Commits
from services.client.batch.cropped_picture import cropped
from services.client.batch.item import Item
from services.client.batch.journal import Journal
from services.client.batch.picture_path import picture_path
from services.client.batch.row import BadRow
from services.client.batch.service import Service

SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors of this machine, and not of one picture."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is in the service."""

    asset: str
    sha256: str
    """Of its file here; empty if the row has no picture."""
    key: str = ""
    """Under which the journal has the asset."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Uploads pictures, or finds them in the journal."""

    root: Path
    service: Service
    journal: Journal
    commits: Commits

    async def of(self, item: Item) -> Picture:
        """Returns a video's picture. Raises BadRow, I2VError, OSError."""
        if not item.picture:
            return Picture("", "")
        upload, sha256 = await asyncio.to_thread(self._read, item)
        key = upload.sha256
        if asset := await self.commits.make(lambda: self.journal.upload_of(key)):
            return Picture(asset, sha256, key)
        asset = (await self.service.upload(upload, "image/*")).name
        self.commits.soon(lambda: self.journal.keep_upload(key, asset))
        return Picture(asset, sha256, key)

    async def forget(self, picture: Picture) -> None:
        """The service no longer has it."""
        await self.commits.make(lambda: self.journal.drop_upload(picture.key))

    def _read(self, item: Item) -> tuple[Upload, str]:
        file = picture_path(self.root, item.picture)
        try:
            return self._opened(item, file)
        except OSError as error:
            if error.errno in SHORTAGES:
                raise
            why = error.strerror or "it is cut off, or broken"
            raise BadRow(f"the picture {item.picture} cannot be read: {why}") from error

    def _opened(self, item: Item, file: Path) -> tuple[Upload, str]:
        if item.crop is None:
            upload = Upload.of(file)
            return upload, upload.sha256
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        details = library_pb2.LibraryDetails(title=file.name[:500])
        return replace(Upload.of(cropped(file, item.crop)), details=details), sha256
