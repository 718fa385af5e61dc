"""Follower: sends the frames of a job to one connection, in order, and the end of the job after the last of them."""

import asyncio
import logging
import random  # noqa: TID251  for pauses alone
from collections.abc import Awaitable, Callable
from typing import Any

from services.reasons import SocketReason
from services.studio.api_error import ApiError
from services.studio.refusal import BUSY
from services.studio.socket import refusal
from services.studio.socket.feed import Feed, Part
from services.studio.socket.frames import Frames
from services.studio.socket.pace import Pace
from services.studio.socket.pictures import Pictures, UnreadableError
from services.studio.socket.socket_metrics import SocketMetrics

log = logging.getLogger(__name__)

Send = Callable[[str, Any, Callable[[], None] | None], Awaitable[None]]
"""Sends an event to the connection; the function is called when the client acknowledges it."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0


class Follower:
    """Follows from a frame on. Frames that were sent are not sent again, also if an attempt made them otherwise."""

    def __init__(
        self,
        feed: Feed,
        begin: int,
        send: Send,
        pace: Pace,
        frames: Frames,
        metrics: SocketMetrics,
        *,
        away_s: float,
        ended: Callable[[], None],
    ) -> None:
        """`ended` is called when the client has all, or the follower was closed."""
        self.feed = feed
        self._next, self._unacknowledged = begin, set[int]()
        self._send, self._pace, self._frames, self._metrics, self._away_s = send, pace, frames, metrics, away_s
        self._ended = ended
        feed.followers += 1
        self._task = asyncio.create_task(self._run(), name="follower")
        self._task.add_done_callback(self._end)

    @property
    def position(self) -> int:
        """Returns the number of the first frame that the client may not have."""
        return min(self._unacknowledged, default=self._next) if self._pace.acknowledges else self._next

    def close(self) -> None:
        """Stops."""
        self._task.cancel()

    def _end(self, task: asyncio.Task[None]) -> None:
        self.feed.followers -= 1
        self._ended()

    async def _run(self) -> None:
        feed = self.feed
        try:
            while True:
                ending, found = feed.ending, self._part()
                if ending is not None and (found is None or not ending.with_frames):
                    await self._send(ending.event, ending.data, None)
                    return
                if found is None:
                    await feed.change()
                else:
                    await self._send_part(*found)
        except Exception:
            log.exception("frames could not be sent")

    def _part(self) -> tuple[Part, int] | None:
        """Returns the part with the next frame, and the number of its first frame."""
        first = 0
        for part in self.feed.parts:
            if self._next < first + part.frames:
                return part, first
            first += part.frames
        return None

    async def _send_part(self, part: Part, first: int) -> None:
        pictures = await self._pictures(part)
        for place in range(self._next - first, min(part.frames, len(pictures.data) if pictures else 0)):
            ending = self.feed.ending
            if pictures is None or (ending is not None and not ending.with_frames):
                return
            index = first + place
            acknowledged = await self._pace.turn(pictures.fps)
            frame = {
                "data": pictures.data[place],
                "frame_index": index,
                "block_index": part.block,
                "job_id": self.feed.job_id,
            }
            if acknowledged:
                self._unacknowledged.add(index)
            async with self._frames.sends:
                await self._send("frame_ready", frame, self._noted(index) if acknowledged else None)
            self._next = index + 1
            self._metrics.frames.inc()
        self._next = max(self._next, first + part.frames)

    def _noted(self, index: int) -> Callable[[], None]:
        def note() -> None:
            if index in self._unacknowledged:
                self._unacknowledged.discard(index)
                self._pace.acknowledge()

        return note

    async def _pictures(self, part: Part) -> Pictures | None:
        """Returns the pictures of a part; None, and an error for the client, if there are none."""
        loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
        until = loop.time() + self._away_s
        while True:
            try:
                return await self._frames.of(self.feed.who, part.asset)
            except ApiError as error:
                if error.failure.code in BUSY and loop.time() < until:
                    await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                    continue
                said = refusal.of(error, self.feed.job_id)
            except UnreadableError as error:
                self._metrics.unreadable.inc()
                log.warning("a fragment cannot be shown", extra={"job_id": self.feed.job_id, "cause": str(error)})
                sentence = f"Block {part.block + 1} cannot be shown as pictures. The job goes on."
                said = refusal.refusal(sentence, SocketReason.FRAMES_UNREADABLE, "", self.feed.job_id)
            await self._send("error", said, None)
            return None
