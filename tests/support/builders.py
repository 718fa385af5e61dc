"""Things that tests need, each with every default filled in: a test states only what matters to it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from services.errors import LimitViolation
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.event import Admitted, Event
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.job_transitions import apply
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Spend, UnfinishedJobs
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.spec import Size, Spec, TextToVideo
from services.orchestrator.media.video_writer import VideoWriter
from services.orchestrator.ports.backend import (
    BackendEvent,
    Checkpoint,
    Continues,
    Fragment,
    GenerationRequest,
    Output,
    Stage,
)
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import RequestReason

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class FakeClock:
    """Stands still until a test moves it on."""

    def __init__(self, now: datetime = NOON) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def a_card(**changes: object) -> ModelCard:
    values: dict[str, object] = {
        "id": "test-model",
        "display_name": "Test model",
        "description": "For tests.",
        "backend": "test",
        "operations": ("image-to-video", "text-to-video"),
        "sizes": (Size(64, 32), Size(32, 64)),
        "durations_ms": (1000, 2000),
        "fps": 8,
        "extra_frames": 0,
        "prompt_max_characters": 100,
        "prompt_max_bytes": 400,
        "price_per_second_micros": 1000,
        "default_timeout_ms": 60_000,
    }
    return ModelCard(**(values | changes))  # type: ignore[arg-type]


def a_catalog(*cards: ModelCard) -> Catalog:
    return Catalog({card.id: card for card in cards or (a_card(),)})


def a_plan(
    name: str = "test",
    *,
    tenant_budget_micros: int = 1_000_000,
    user_budget_micros: int = 500_000,
    tenant_active_jobs: int = 10_000,
    user_active_jobs: int = 10_000,
) -> Plan:
    """A plan of a monthly budget and a number of unfinished jobs, for the tenant and for each user."""
    return Plan(
        name,
        (
            Limit(Spend(), Subject.TENANT, Per.MONTH, tenant_budget_micros),
            Limit(Spend(), Subject.USER, Per.MONTH, user_budget_micros),
            Limit(UnfinishedJobs(), Subject.TENANT, Per.AT_A_TIME, tenant_active_jobs),
            Limit(UnfinishedJobs(), Subject.USER, Per.AT_A_TIME, user_active_jobs),
        ),
    )


def amounts(plan: Plan) -> dict[str, int | None]:
    """Returns the amounts of a plan's limits by their keys, such as `user spend month`."""
    return {limit.key: limit.most for limit in plan.limits}


def a_spec(prompt: str = "a wave", **changes: object) -> Spec:
    return Spec(**({"model": "test-model", "operation": TextToVideo(prompt)} | changes))  # type: ignore[arg-type]


def a_job(**changes: object) -> Job:
    card = a_card()
    spec = card.complete(a_spec(), seed=7, picture=None)
    values: dict[str, object] = {
        "id": "0" * 32,
        "tenant": "studio",
        "user": "ann",
        "request_id": "6f9619ff-8b86-4011-b42d-00c04fc964ff",
        "spec": spec,
        "quote_micros": card.quote(spec),
        "price_micros": card.quote(spec),
        "create_time": NOON,
        "expire_time": NOON + timedelta(minutes=1),
    }
    return Job(**(values | changes))  # type: ignore[arg-type]


def numbered(number: int, **changes: object) -> Job:
    """One of several jobs: ids and request ids are in the order of the numbers."""
    return a_job(id=f"{number:032x}", request_id=f"00000000-0000-4000-8000-{number:012}", **changes)


def an_admitted_job(**changes: object) -> Job:
    job = a_job(**changes)
    return apply(job, Event(1, NOON, Admitted(job.quote_micros)))


def a_caller(user: str = "ann", tenant: str = "studio", **plan: int) -> Caller:
    return Caller(tenant, user, a_plan(**plan))


async def admit(store: PostgresStore, job: Job, **plan: int) -> Job:
    return await store.admissions.admit(job, "fingerprint", a_caller(job.user, job.tenant, **plan), "test")


async def limit_status(store: PostgresStore, subject: str, measure: str, user: str = "ann", **plan: int) -> LimitStatus:
    """Returns the status of one limit of the plan, such as that of `user` and `spend`."""
    statuses = await store.counters.status(a_caller(user, **plan))
    return next(each for each in statuses if (each.limit.subject, each.limit.measure.key) == (subject, measure))


def some_frames(count: int, size: Size, seed: int = 0) -> np.ndarray:
    """(count, H, W, 3) uint8: a gradient that moves."""
    y, x = np.mgrid[0 : size.height, 0 : size.width]
    frames = [np.stack([x * 4 + i * 5 + seed, y * 4 + i * 3, (x + y) * 2], axis=-1) for i in range(count)]
    return (np.stack(frames) % 256).astype(np.uint8)


def a_violation(description: str = "Full.", **changes: Any) -> LimitViolation:
    values: dict[str, Any] = {
        "subject": "user",
        "measure": "spend",
        "per": "month",
        "plan": "test",
        "limit": 1,
        "used": 1,
        "asked": 1,
        "resets_at": None,
        "reason": RequestReason.USER_BUDGET_EXCEEDED,
    }
    return LimitViolation(description=description, **(values | changes))


class ScriptedBackend:
    """A backend that a test controls: it makes real, small videos in fragments of 4 frames.

    After each fragment it leaves a checkpoint, and takes up those that it finds.
    """

    def __init__(self) -> None:
        self.attempts: list[GenerationRequest] = []
        self.troubles: list[Exception] = []
        """Raised one at a time, one an attempt, before anything is made."""
        self.gate = asyncio.Event()
        """Shut: the attempt waits after its first fragment."""
        self.gate.set()
        self.begun = asyncio.Event()
        """Set once the first fragment has been yielded."""
        self.made: list[int] = []
        """Fragments that were made, not taken from a checkpoint; over all attempts."""
        self.closed = 0
        """Attempts that were stopped before their end."""
        self.looks: asyncio.Queue[None] = asyncio.Queue()
        """One for each look at whether it could take a job."""
        self.unfit: Exception | None = None
        """What such a look finds."""
        self.frames: Callable[[int, Size, int], np.ndarray] = some_frames

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        self.attempts.append(attempt)
        ended = False
        try:
            if self.troubles:
                raise self.troubles.pop(0)
            size, seed, total = attempt.spec.size, attempt.spec.seed, attempt.card.frames(attempt.spec)
            assert size is not None and seed is not None
            yield Stage("generate", 0.0)
            writer = VideoWriter(size.width, size.height, attempt.card.fps)
            frames = self.frames(total, size, seed % 100)
            known = len(attempt.checkpoints)
            assert attempt.checkpoints == tuple(b"checkpoint %d" % index for index in range(known))
            if known:
                yield Continues(known, min(1.0, known * 4 / total))
            for index, first in enumerate(range(0, len(frames), 4)):
                data = await asyncio.to_thread(writer.add, frames[first : first + 4])
                if index >= known:
                    self.made.append(index)
                    yield Checkpoint(index, b"checkpoint %d" % index)
                yield Fragment(data, len(frames[first : first + 4]), min(1.0, (first + 4) / total))
                self.begun.set()
                await self.gate.wait()
            path = attempt.workdir / "video.mp4"
            await asyncio.to_thread(writer.finish, path)
            yield Output(path)
            ended = True
        finally:
            self.closed += not ended

    async def check(self) -> None:
        self.looks.put_nowait(None)
        if self.unfit is not None:
            raise self.unfit
