"""Stores the fragments that a backend yields, and announces them."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

from services.orchestrator.attempt.event_recorder import EventRecorder
from services.orchestrator.attempt.state import AttemptState
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.event import FragmentReady, Progressed
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.ports.backend import Fragment
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.meter import Meter


@dataclass(frozen=True, slots=True)
class FragmentStore:
    """Stores fragments as assets of the job's user."""

    blobs: Blobs
    event_recorder: EventRecorder
    clock: Clock
    meter: Meter

    async def store(self, state: AttemptState, card: ModelCard, fragment: Fragment, folder: Path) -> None:
        """Stores a fragment and announces it, unless an earlier attempt has announced the same.

        Raises Superseded, Unavailable.
        """
        job, sha256 = state.job, hashlib.sha256(fragment.data).hexdigest()
        ready = FragmentReady(state.next_fragment, sha256, fragment.frames, len(fragment.data), fragment.progress)
        state.next_fragment += 1
        if state.fragments.contains(ready):
            if fragment.progress > state.progress:
                await self.event_recorder.record(state, Progressed("generate", fragment.progress))
            return
        size = job.spec.size
        assert size is not None, "an admitted spec is complete"
        info = VideoInfo("video/mp4", size.width, size.height, fragment.frames, card.fps, fragment.frames / card.fps)
        path = folder / f"fragment-{ready.index}.mp4"
        await asyncio.to_thread(path.write_bytes, fragment.data)
        asset = Asset(job.tenant, job.user, sha256, len(fragment.data), info, self.clock.now())
        await self.blobs.put_file(asset.key, path, media_type=info.media_type)
        await self.event_recorder.record(state, ready, asset)
        state.fragments.add(ready)
        early = state.playback.add(fragment.frames, asyncio.get_running_loop().time())
        if early is not None:
            self.meter.fragment(job, early=early)
        if ready.index == 0 and job.attempt == 1:
            self.meter.first_fragment(job, (self.clock.now() - job.create_time).total_seconds())
