"""A user who has something of everything, the erasure of users, and a search for what is left of one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from services.orchestrator.assets.upload_parts import UploadParts
from services.orchestrator.domain import event as events
from services.orchestrator.domain import next_event
from services.orchestrator.domain.asset import blob_key, checkpoint_key
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.collection import CollectionKey
from services.orchestrator.domain.event import Body, JobError
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.limits.override import Override, limit_of
from services.orchestrator.domain.manifest import Manifest
from services.orchestrator.domain.open_upload import OpenUpload, UploadId
from services.orchestrator.domain.paid_call import Acceptance, Step, Submission
from services.orchestrator.domain.share import NewShare, ShareKey
from services.orchestrator.domain.spec import Spec, TextToVideo
from services.orchestrator.domain.user_deletion import UserDeletion, pseudonym
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.ports.credits import Booking
from services.orchestrator.retention.old_checkpoints import OldCheckpoints
from services.orchestrator.retention.user_erasure import UserErasure
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.worker.dbos_queue import DbosEntries
from tests.support.builders import FakeClock, a_caller, admit, numbered
from tests.support.old_jobs import alone, digest, run_job, video
from tests.support.trash_rounds import TrashRig
from tests.support.webhooks import an_endpoint

KEY = b"k" * 32
TABLES = sa.text(
    "SELECT table_schema || '.' || table_name FROM information_schema.tables"
    " WHERE table_schema IN ('public', 'dbos') AND table_type = 'BASE TABLE'"
)


def deletion_of(user: str, number: int, clock: FakeClock, tenant: str = "studio") -> UserDeletion:
    named = f"10000000-0000-4000-8000-{number:012}"
    alias = pseudonym(KEY, tenant, user, named)
    return UserDeletion(id=named, tenant=tenant, user=user, pseudonym=alias, create_time=clock.now())


def act_of(deletion: UserDeletion) -> Act:
    target = f"tenants/{deletion.tenant}/users/{deletion.pseudonym}"
    return Act(deletion.create_time, "operators/eve", "DeleteUser", target, deletion.tenant, "a request", "call-1")


@dataclass(frozen=True)
class ErasureRig:
    """One database, one folder, and users with everything."""

    trash: TrashRig
    database: str

    def erasure(self, wrap: Callable[[Any], Any] = lambda port: port) -> UserErasure:
        """All steps, without pauses; `wrap` may put something around each port."""
        store, blobs = self.trash.store, wrap(self.trash.stored.blobs)
        uploads = wrap(store.uploads)
        return UserErasure(
            deletions=wrap(store.user_deletions),
            data=wrap(store.user_data),
            jobs=wrap(store.jobs),
            old_jobs=wrap(store.old_jobs),
            uploads=uploads,
            audits=wrap(store.counter_audits),
            discard=UploadParts(uploads, blobs).discard,
            remove_runs=wrap(DbosEntries(self.database)).remove,
            remove_checkpoints=OldCheckpoints(store.old_jobs, blobs, store.assets).remove_of,
            only_one=alone,
            clock=self.trash.clock,
            meter=PrometheusMeter(CollectorRegistry()),
            pause_s=0.0,
        )

    async def fill(self, user: str, prompt: str, number: int) -> Job:
        """Gives a user something of everything; returns the job that made a video. `number`: of the first job."""
        store, clock = self.trash.store, self.trash.clock
        secret: dict[str, Any] = {"user": user, "spec": self._spec(prompt, number)}
        if not await store.webhook_endpoints.page("studio", None, 1):
            await an_endpoint(store)
        cat = await self.trash.upload("cat", user)
        made = await run_job(
            store,
            clock,
            self.trash.stored,
            numbered(number, **secret),
            fragments=(f"{user} 1",),
            output=f"{user} video",
        )
        await self._manifest(made, prompt)
        await run_job(
            store,
            clock,
            self.trash.stored,
            numbered(number + 1, **secret),
            state=State.FAILED,
            fragments=(f"{user} 2",),
        )
        await self.trash.stored.put(checkpoint_key(made.id, 0))
        await self._paid(number + 2, secret)
        roofs = CollectionKey("studio", user, f"{user} roofs")
        await store.collections.create(roofs, prompt, prompt, clock.now())
        await store.collections.add(roofs, [cat.sha256], clock.now())
        await self._share(user, asset=cat.sha256)
        await self._share(user, collection=roofs.id)
        await self._begin_upload(user, prompt)
        act = Act(clock.now(), "operators/eve", "SetLimit", f"tenants/studio/users/{user} user jobs day", "studio", "x")
        limit = limit_of("user jobs day", 99)
        await store.limit_overrides.put("studio", Override(f"user:{user}", limit, user, "eve", clock.now()), act)
        gift = replace(act, action="BookCredit", reason=f"a gift for {user}, really")
        await store.credits.book(Booking(f"gift {number}", a_caller(user), 7), gift)
        return made

    async def video_key(self, user: str) -> EntryKey:
        return EntryKey("studio", user, digest(f"{user} video"))

    async def _share(self, user: str, asset: str = "", collection: str = "") -> None:
        name, now = f"{user} shares {asset or collection}", self.trash.clock.now()
        share = NewShare(
            key=ShareKey("studio", user, name),
            token_sha256=digest(name),
            asset=asset,
            collection=collection,
            pass_phrase="",
            create_time=now,
            expire_time=now + timedelta(days=7),
        )
        await self.trash.store.shares.create(share)

    def _spec(self, prompt: str, number: int) -> Spec:
        return replace(numbered(number).spec, operation=TextToVideo(prompt))

    async def _manifest(self, job: Job, prompt: str) -> None:
        again = Manifest(digest(f"{job.user} video"), {"prompt": prompt, "user": job.user})
        other = numbered(int(job.id, 16) + 500, user=job.user, spec=job.spec)
        await admit(self.trash.store, other)
        await self.trash.store.jobs.record(other.id, next_event.start)
        asset = video(job, f"{job.user} video", self.trash.clock.now())
        assert job.output is not None
        ended = events.Succeeded(job.output, 1000)
        await self.trash.store.jobs.record(other.id, lambda _: ended, assets=[asset], manifest=again)

    async def _paid(self, number: int, secret: dict[str, Any]) -> None:
        """A job that failed although a vendor has its task, and can be resumed."""
        job = await admit(self.trash.store, numbered(number, **secret))
        steps: list[tuple[Body, Step | None]] = [
            (events.Started(1), None),
            (events.Submitting("vendor"), Submission("model")),
            (events.Accepted("vendor"), Acceptance(f"task {number}")),
        ]
        for body, step in steps:
            await self.trash.store.jobs.record(job.id, lambda _, body=body: body, step=step)
        lost = JobError("X", "x", retryable=True, resumable=True)
        await self.trash.store.jobs.record(job.id, lambda job: next_event.fail(job, lost))

    async def _begin_upload(self, user: str, title: str) -> None:
        named = UploadId("studio", user, f"20000000-0000-4000-8000-{abs(hash(user)) % 10**12:012}")
        begun = OpenUpload(named, "image/png", 9, "", Details(title=title), self.trash.clock.now())
        await self.trash.store.uploads.begin(begun)
        await self.trash.stored.put(f"{named.prefix}0000000000000.part")

    async def found(self, text: str) -> set[str]:
        """Returns the tables in which a text stands anywhere."""
        return await found_in(self.trash.store, text)

    async def keys(self) -> set[str]:
        """Returns the keys of everything in the blob store."""
        return {blob.key for blob in await self.trash.stored.blobs.stored("", after="", limit=1000)}


async def found_in(store: PostgresStore, text: str) -> set[str]:
    """Returns the tables, also those of DBOS, in which a text stands anywhere."""
    async with store.database.reading() as connection:
        tables = list((await connection.execute(TABLES)).scalars())
        look = "SELECT EXISTS (SELECT FROM {} AS row WHERE position(:text in row::text) > 0)"
        return {table for table in tables if await connection.scalar(sa.text(look.format(table)), {"text": text})}


class Dying:
    """A port each of whose calls may be the last thing that its process does."""

    def __init__(self, port: Any, take: Callable[[Awaitable[Any]], Awaitable[Any]]) -> None:
        self._port, self._take = port, take

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        async def call(*given: Any, **named: Any) -> Any:
            return await self._take(method(*given, **named))

        return method if name == "read" else call


def bytes_of(user: str, name: str) -> str:
    return blob_key("studio", digest(f"{user} {name}"))
