"""Feed: what happens to one job of one caller, for all connections that follow it."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from i2v.v1 import job_pb2

from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.socket import refusal
from services.studio.streams.event_frame import EventFrame
from services.studio.streams.resumed_watch import ResumedWatch

log = logging.getLogger(__name__)

Emit = Callable[[str, Any, str], Awaitable[None]]
"""Sends an event to all connections in a room."""


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive frames of the video."""

    block: int
    asset: str
    frames: int


@dataclass(frozen=True, slots=True)
class Ending:
    """The last event of a job."""

    event: str
    data: dict[str, Any]
    with_frames: bool
    """Whether a follower sends the frames before it."""


class Feed:
    """Reads the events of a job. Its room has the connections that follow it."""

    def __init__(self, who: Caller, job: job_pb2.Job, watch: ResumedWatch, emit: Emit) -> None:
        self.who, self.name, self.job_id = who, job.name, job_id(job.name)
        self.room = str(uuid.uuid4())  # noqa: TID251  a name that no client knows
        self.parts: list[Part] = []
        self.progress: dict[str, Any] = {"message": "Queued", "progress": 0, "job_id": self.job_id}
        self.ending: Ending | None = None
        self.followers = 0
        self._emit, self._watch = emit, watch
        self._watch.begun = True  # the job exists, so a broken call is followed by another one
        self._past = job.last_sequence
        """Number of the last event that happened before the feed."""
        self._began: datetime | None = None
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="feed")

    async def change(self) -> None:
        """Waits for new frames, or the end."""
        changed = self._changed
        await changed.wait()

    def close(self) -> None:
        """Stops reading."""
        self._watch.close()
        self._task.cancel()

    async def _run(self) -> None:
        try:
            while self.ending is None:
                frame = await self._watch.read()
                if frame is None:
                    return
                await self._take(job_pb2.WatchJobResponse.FromString(frame.data))
        except ApiError as error:
            self.ending = Ending("error", refusal.of(error, self.job_id), with_frames=False)
        except Exception:
            log.exception("a feed failed")
            self.ending = Ending("error", refusal.of_failure(refusal.INTERNAL, self.job_id), with_frames=False)
        finally:
            self._watch.close()
            self._note_change()

    async def _take(self, response: job_pb2.WatchJobResponse) -> None:
        if response.WhichOneof("response") != "event":
            place = response.heartbeat.queue_place
            await self._say(f"Waiting in the queue at place {place}", None, live=True)
            return
        event = response.event
        kind, live = event.WhichOneof("event"), event.sequence >= self._past
        if kind == "started":
            self._began = self._began or event.create_time.ToDatetime(tzinfo=UTC)
            await self._say("Started", None, live)
        elif kind == "progressed":
            await self._say(_sentence(event.progressed.stage), event.progressed.progress, live)
        elif kind == "continued":
            await self._say("Continued after a pause", event.continued.progress, live)
        elif kind == "fragment_ready":
            ready = event.fragment_ready
            self.parts[ready.index :] = [Part(ready.index, ready.asset, ready.frames)]
            await self._say(f"Block {ready.index + 1} is ready", ready.progress, live)
            self._note_change()
        elif kind in STATUSES:
            if live:
                await self._emit("status", {"message": STATUSES[kind], "job_id": self.job_id}, self.room)
        elif kind in ("succeeded", "failed", "cancelled"):
            self.ending = self._ending(event)
            if kind == "succeeded":
                await self._say("Complete", 1.0, live=True)

    async def _say(self, message: str, share: float | None, live: bool) -> None:
        percent = self.progress["progress"] if share is None else round(100 * share)
        self.progress = {"message": message, "progress": percent, "job_id": self.job_id}
        if live:
            await self._emit("progress", self.progress, self.room)

    def _ending(self, event: job_pb2.JobEvent) -> Ending:
        if event.WhichOneof("event") == "cancelled":
            stopped = {"message": "Generation stopped", "job_id": self.job_id, "state": "cancelled"}
            return Ending("status", stopped, with_frames=False)
        if event.WhichOneof("event") == "failed":
            error = event.failed.error
            return Ending("error", refusal.refusal(error.message, error.reason, "", self.job_id), with_frames=False)
        output = event.succeeded.output
        if not self.parts:  # of a vendor, which makes the video in one piece
            self.parts = [Part(0, output.asset, output.frames)]
        ended = event.create_time.ToDatetime(tzinfo=UTC)
        took_s = (ended - (self._began or ended)).total_seconds()
        data: dict[str, Any] = {
            "message": "Generation complete",
            "total_frames": sum(each.frames for each in self.parts),
            "generation_time": round(took_s, 3),
            "job_id": self.job_id,
            "asset": output.asset,
        }
        return Ending("generation_complete", data, with_frames=True)

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


STATUSES = {
    "cancel_requested": "Stopping",
    "retrying": "The attempt could not go on. The job tries again.",
    "rerouted": "Another model makes the video",
    "reconciling": "Waiting for the vendor's answer",
    "resumed": "The job goes on",
}


def job_id(name: str) -> str:
    """Returns the id by which events name a job."""
    return name.removeprefix("jobs/")


def frame_of(message: bytes) -> EventFrame:
    """Returns a message of a watch as it is, without those that say nothing."""
    response = job_pb2.WatchJobResponse.FromString(message)
    if response.WhichOneof("response") != "event":
        return EventFrame(message if response.heartbeat.queue_place else b"")
    return EventFrame(message, response.event.sequence)


def _sentence(stage: str) -> str:
    words = stage.replace("_", " ").strip() or "working"
    return words[:1].upper() + words[1:]
