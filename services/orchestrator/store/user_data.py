"""PostgresUserData: deletes what belongs to the user of a deletion, batch after batch.

Each transaction first takes a share of the tenant's row, for which a new legal hold waits, and the other way round.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.user_deletion import UserDeletion, redacted
from services.orchestrator.ports.retention import OldJob, OnHold
from services.orchestrator.ports.user_deletions import QueuedRun
from services.orchestrator.store import access_rows, old_jobs, sessions, stored_bytes
from services.orchestrator.store import user_data_statements as statements
from services.orchestrator.store.database import Database
from services.orchestrator.store.user_deletions import COUNTED

UNFINISHED_RESUME = sa.text("SELECT EXISTS (SELECT FROM jobs WHERE resumes = :id AND end_time IS NULL)")


class PostgresUserData:
    """The data of users in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def demand_no_hold(self, deletion: UserDeletion) -> None:
        """Raises OnHold under a legal hold."""
        async with self._deleting(deletion):
            pass

    async def unfinished_jobs(self, deletion: UserDeletion, *, limit: int) -> Sequence[str]:
        """Returns ids of jobs that have not ended."""
        async with self._database.reading() as connection:
            found = await connection.execute(statements.UNFINISHED, _values(deletion) | {"limit": limit})
            return list(found.scalars())

    async def uploads_deleted(self, deletion: UserDeletion, count: int) -> None:
        """Counts uploads that were discarded."""
        async with self._deleting(deletion) as connection:
            await _count(connection, deletion, uploads=count)

    async def delete_collections(self, deletion: UserDeletion, *, limit: int) -> int:
        """Deletes members of collections, then collections without members."""
        given = _values(deletion) | {"limit": limit}
        async with self._deleting(deletion) as connection:
            if members := (await connection.execute(statements.MEMBERS, given)).rowcount:
                return members
            deleted = (await connection.execute(statements.COLLECTIONS, given)).rowcount
            await _count(connection, deletion, collections=deleted)
            return deleted

    async def delete_assets(self, deletion: UserDeletion, now: datetime, *, limit: int) -> int:
        """Deletes assets that no unfinished job uses, with their entries and manifests."""
        given = _values(deletion) | {"limit": limit, "now": now}
        async with self._deleting(deletion) as connection:
            digests = list((await connection.execute(statements.UNUSED_ASSETS, given)).scalars())
            if digests:
                row = (await connection.execute(statements.ASSETS, given | {"digests": digests})).one()
                size_bytes = int(row.size_bytes)
                await _count(connection, deletion, entries=row.entries, size_bytes=size_bytes)
                await stored_bytes.forget(connection, deletion.tenant, deletion.user, size_bytes)
            return len(digests)

    async def ended_jobs(self, deletion: UserDeletion, *, after: str, limit: int) -> Sequence[OldJob]:
        """Returns jobs that can be deleted, in the order of their ids."""
        given = _values(deletion) | {"after": after, "limit": limit}
        async with self._database.reading() as connection:
            return [OldJob(*row) for row in await connection.execute(statements.ENDED_JOBS, given)]

    async def resumes(self, job: OldJob) -> Sequence[OldJob]:
        """Returns the jobs that resume a job."""
        async with self._database.reading() as connection:
            return [OldJob(*row) for row in await connection.execute(old_jobs.RESUMES, {"id": job.id})]

    async def queued_runs(self, job: OldJob) -> Sequence[QueuedRun]:
        """Returns the entries of a job in the job queue."""
        async with self._database.reading() as connection:
            rows = await connection.execute(statements.QUEUED_RUNS, {"id": job.id})
            return [QueuedRun(*row) for row in rows]

    async def delete_job(self, deletion: UserDeletion, job: OldJob) -> int:
        """Deletes a job and those that resume it, with their holds and paid calls."""
        async with self._deleting(deletion) as connection:
            await connection.execute(old_jobs.LOCK, {"id": job.id})
            if (await connection.execute(UNFINISHED_RESUME, {"id": job.id})).scalar_one():
                return 0
            await connection.execute(old_jobs.LOCK_COUNTERS, {"id": job.id})
            deleted = (await connection.execute(old_jobs.REMOVE, {"id": job.id})).rowcount
            await _count(connection, deletion, jobs=deleted)
            return deleted

    async def delete_deliveries(self, deletion: UserDeletion, *, limit: int) -> int:
        """Deletes deliveries of webhooks that are about the user."""
        async with self._deleting(deletion) as connection:
            return (await connection.execute(statements.DELIVERIES, _values(deletion) | {"limit": limit})).rowcount

    async def rename_bookings(self, deletion: UserDeletion, *, limit: int) -> int:
        """Gives entries of the ledger the pseudonym."""
        given = _values(deletion) | {"limit": limit}
        async with self._deleting(deletion) as connection:
            renamed = (await connection.execute(statements.BOOKINGS, given)).all()
            for row in renamed:
                if row.reason:
                    reason = redacted(row.reason, deletion.user, deletion.pseudonym)
                    changed = {"reference": row.reference, "kind": row.kind, "reason": reason}
                    await connection.execute(statements.REASON, changed)
            await _count(connection, deletion, bookings=len(renamed))
            return len(renamed)

    async def erase(self, deletion: UserDeletion, now: datetime) -> bool:
        """Erases the last of the user, if nothing but that is left."""
        given = _values(deletion) | {"now": now}
        async with self._deleting(deletion) as connection:
            if (await connection.execute(statements.LEFT, given)).scalar_one():
                return False
            await connection.execute(statements.COUNTERS, given)
            await connection.execute(statements.LIMITS, given)
            await connection.execute(sessions.END_OF_USER, given)
            await _redact_log(connection, deletion)
            await connection.execute(statements.ERASED, given)
            await access_rows.notify(connection)
        return True

    async def end(self, deletion: UserDeletion, now: datetime) -> bool:
        """Ends the deletion if all of its bytes are gone."""
        async with self._database.reading() as connection:
            return bool((await connection.execute(statements.END, _values(deletion) | {"now": now})).rowcount)

    @asynccontextmanager
    async def _deleting(self, deletion: UserDeletion) -> AsyncIterator[AsyncConnection]:
        """Gives a transaction that holds off a legal hold. Raises OnHold if there is one."""
        async with self._database.writing() as connection:
            if (await connection.execute(old_jobs.SHARE, {"tenant": deletion.tenant})).scalar_one_or_none():
                raise OnHold
            yield connection


async def _redact_log(connection: AsyncConnection, deletion: UserDeletion) -> None:
    def said(text: str) -> str:
        return redacted(text, deletion.user, deletion.pseudonym)

    searched = _values(deletion) | {"said": json.dumps(deletion.user, ensure_ascii=False)[1:-1]}
    for row in (await connection.execute(statements.LOGGED, searched)).all():
        before, after = ({said(name): said(text) for name, text in each.items()} for each in (row.before, row.after))
        changed = {"target": said(row.target), "reason": said(row.reason)}
        values = {"id": row.id, "before": json.dumps(before), "after": json.dumps(after)}
        await connection.execute(statements.LOG, changed | values)


async def _count(connection: AsyncConnection, deletion: UserDeletion, **counts: int) -> None:
    await connection.execute(statements.COUNT, _values(deletion) | dict.fromkeys(COUNTED, 0) | counts)


def _values(deletion: UserDeletion) -> dict[str, object]:
    return {
        "tenant": deletion.tenant,
        "user": deletion.user,
        "deletion": deletion.id,
        "pseudonym": deletion.pseudonym,
    }
