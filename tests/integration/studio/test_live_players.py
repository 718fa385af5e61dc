"""Programs that people watch with play a live URL while the video is made, also when an attempt replaces a fragment."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from services.errors import Unavailable
from services.reasons import ServiceReason
from tests.support import players
from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.live_rig import Steps, noise, ready, stepped, submitted
from tests.support.players import FFPLAY, NO_FFPLAY, NO_VLC, VLC
from tests.support.studio_rig import Rig, before_an_api

pytestmark = pytest.mark.parametrize("replaced", [False, True], ids=["grows", "replaced"])
TWO_SECONDS = [number / 8 for number in range(16)]


@pytest.fixture(scope="module")
async def shared_steps(
    shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Rig, Steps, ScriptedBackend]]:
    backend, gate = stepped()
    async with before_an_api(shared_database, tmp_path_factory.mktemp("players"), backend) as rig:
        yield rig, gate, backend
        gate.set()


@pytest.fixture
def steps(shared_steps: tuple[Rig, Steps, ScriptedBackend]) -> tuple[Rig, Steps, ScriptedBackend]:
    _, gate, backend = shared_steps
    gate.clear()
    backend.frames = noise
    return shared_steps


async def two_fragments(rig: Rig, gate: Steps) -> tuple[str, str]:
    """Returns the job that has made two of its four fragments, and its live URL."""
    job, url = await submitted(rig, seed=3)
    await ready(rig, job, 1)
    gate.step()
    await ready(rig, job, 2)
    return job.name, url


async def polls(rig: Rig) -> float:
    """Returns how often players have read a playlist of segments."""
    counted = (await rig.http.get(rig.metrics)).text
    return float(counted.partition('i2v_studio_live_answers_total{kind="media"} ')[2].partition("\n")[0] or 0)


async def waits(rig: Rig, before: float) -> None:
    """Waits until a player has read the playlist a third time: it has shown what there is, and wants more."""

    async def has() -> bool:
        return await polls(rig) >= before + 3

    await until(has)


async def go_on(rig: Rig, gate: Steps, backend: ScriptedBackend, job: str, *, replaced: bool) -> None:
    """Lets the job end; `replaced` in another attempt that makes all but the first fragment otherwise."""
    if replaced:
        backend.frames = lambda count, size, seed: np.concatenate(
            [noise(count, size, seed)[:4], noise(count, size, 9)[4:]]
        )
        gate.trouble = Unavailable("the engine is lost", reason=ServiceReason.GOING_DOWN)
    gate.set()
    await rig.i2v.ended(job)


@pytest.mark.skipif(FFPLAY is None, reason=NO_FFPLAY)
async def test_ffplay_shows_every_picture_once(
    steps: tuple[Rig, Steps, ScriptedBackend],
    replaced: bool,
) -> None:
    rig, gate, backend = steps
    job, url = await two_fragments(rig, gate)
    before, playing = await polls(rig), asyncio.create_task(players.by_ffplay(url))
    await waits(rig, before)
    await go_on(rig, gate, backend, job, replaced=replaced)
    assert await playing == TWO_SECONDS


@pytest.mark.skipif(VLC is None, reason=NO_VLC)
async def test_vlc_plays_to_the_end(
    steps: tuple[Rig, Steps, ScriptedBackend],
    tmp_path: Path,
    replaced: bool,
) -> None:
    rig, gate, backend = steps
    job, url = await two_fragments(rig, gate)
    before, playing = await polls(rig), asyncio.create_task(players.by_vlc(url, tmp_path))
    await waits(rig, before)
    await go_on(rig, gate, backend, job, replaced=replaced)
    # Two fragments have 8 pictures; it may leave out some of the 16.
    assert await playing >= 12
