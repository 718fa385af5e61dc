"""PostgresUploads: uploads that can continue after a break."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.dialects.postgresql import insert

from services.errors import NotFound
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.open_upload import OpenUpload, UploadId
from services.orchestrator.store.database import Database
from services.orchestrator.store.schema import uploads


class PostgresUploads:
    """The uploads of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, upload: OpenUpload) -> OpenUpload:
        """Records a new upload. Returns the one that is recorded: of the same id, the first."""
        columns = asdict(upload.id) | {
            "media_type": upload.media_type,
            "size_bytes": upload.size_bytes,
            "sha256": upload.sha256,
            "details": asdict(upload.details),
            "create_time": upload.create_time,
        }
        async with self._database.writing() as connection:
            await connection.execute(insert(uploads).values(columns).on_conflict_do_nothing())
        return await self.find(upload.id)

    async def find(self, upload_id: UploadId) -> OpenUpload:
        """Returns an upload. Raises NotFound."""
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(uploads).where(*_is(upload_id)))).one_or_none()
        if row is None:
            raise NotFound("upload", f"uploads/{upload_id.id}")
        return _upload(row)

    async def advance(self, upload_id: UploadId, received: int, part: str, size: int) -> bool:
        """Records a part of `size` bytes after the first `received` ones, if these are what has arrived."""
        changed = (
            sa.update(uploads)
            .where(*_is(upload_id), uploads.c.received_bytes == received, uploads.c.asset == "")
            .values(received_bytes=received + size, parts=sa.func.array_append(uploads.c.parts, part))
        )
        async with self._database.writing() as connection:
            return bool((await connection.execute(changed)).rowcount)

    async def finish(self, upload_id: UploadId, asset: str) -> None:
        """Records that the upload became an asset."""
        async with self._database.writing() as connection:
            await connection.execute(sa.update(uploads).where(*_is(upload_id)).values(asset=asset, parts=[]))

    async def expired(self, before: datetime, limit: int) -> list[OpenUpload]:
        """Returns uploads that began before this time, the oldest first."""
        query = sa.select(uploads).where(uploads.c.create_time < before).order_by(uploads.c.create_time).limit(limit)
        async with self._database.reading() as connection:
            return [_upload(row) for row in await connection.execute(query)]

    async def of_user(self, tenant: str, user: str, limit: int) -> list[OpenUpload]:
        """Returns uploads of a user."""
        query = sa.select(uploads).where(uploads.c.tenant == tenant, uploads.c.user == user).limit(limit)
        async with self._database.reading() as connection:
            return [_upload(row) for row in await connection.execute(query)]

    async def forget(self, upload_id: UploadId) -> None:
        """Removes an upload."""
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(uploads).where(*_is(upload_id)))


def _is(upload_id: UploadId) -> tuple[sa.ColumnElement[bool], ...]:
    table = uploads.c
    return (table.tenant == upload_id.tenant, table.user == upload_id.user, table.id == upload_id.id)


def _upload(row: Row[Any]) -> OpenUpload:
    return OpenUpload(
        id=UploadId(row.tenant, row.user, row.id),
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        details=Details(**row.details | {"tags": tuple(row.details["tags"])}),
        create_time=row.create_time,
        received_bytes=row.received_bytes,
        parts=tuple(row.parts),
        asset=row.asset,
    )
