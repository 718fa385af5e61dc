"""Socket.IO: videos by events, from the real process before a real API, by python-socketio's client."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio

from tests.support import pictures
from tests.support.socket_page import Page, page
from tests.support.studio_rig import Rig


async def test_a_page_for_the_originals_events_gets_a_video_as_frames(own: Rig) -> None:
    async with page(own) as it:
        await it.client.emit("start_generation", {"mode": "t2v", "prompt": "a wave", "seed": 7, "use_taehv": True})
        done = await it.next("generation_complete")
        frames = it.all("frame_ready")
        assert [each["frame_index"] for each in frames] == list(range(done["total_frames"]))
        assert {each["job_id"] for each in frames} == {done["job_id"]}
        assert all(each["data"].startswith("data:image/jpeg;base64,/9j/") for each in frames)
        said = it.all("progress")
        assert [each["progress"] for each in said] == sorted(each["progress"] for each in said)
        assert said[-1]["progress"] == 100 and done["generation_time"] >= 0
