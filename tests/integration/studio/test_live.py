"""Live playback: FFmpeg and others read a video while it is made, from the real process before a real API."""

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from i2v.v1 import asset_pb2

from services.errors import Unavailable
from services.reasons import ServiceReason
from tests.support import hls_rules
from tests.support.blob_stores import until
from tests.support.live_fragments import shown
from tests.support.live_rig import Steps, media, noise, parts, played, ready, sign, stepped, submitted
from tests.support.served_orchestrator import caller
from tests.support.studio_rig import Rig, before_an_api

TWO_SECONDS = [Fraction(number, 8) for number in range(16)]
"""When the pictures of the test model's video of two seconds are shown; it comes in four fragments."""


@pytest.fixture
async def steps(database: str, tmp_path: Path) -> AsyncIterator[tuple[Rig, Steps]]:
    backend, gate = stepped()
    async with before_an_api(database, tmp_path, backend) as rig:
        yield rig, gate
        gate.set()


async def test_ffmpeg_plays_a_video_while_it_is_made(steps: tuple[Rig, Steps]) -> None:
    rig, gate = steps
    job, url = await submitted(rig)
    loop, first = asyncio.get_running_loop(), asyncio.Event()

    def seen(frames: int) -> None:
        loop.call_soon_threadsafe(first.set)

    playing = asyncio.create_task(asyncio.to_thread(played, url, seen))
    await ready(rig, job, 1)
    async with asyncio.timeout(60):
        await first.wait()  # while the job waits behind its first fragment
    for count in (2, 3, 4):
        gate.step()
        await ready(rig, job, count)
    gate.set()
    async with asyncio.timeout(60):
        times = await playing
    assert times == TWO_SECONDS


async def test_the_playlist_grows_with_the_job_and_ends_with_it(steps: tuple[Rig, Steps]) -> None:
    rig, gate = steps
    job, url = await submitted(rig)
    await ready(rig, job, 1)
    where, text = await media(rig.http, url)
    found, _ = hls_rules.multivariant((await rig.http.get(url)).text)
    assert (found["RESOLUTION"], found["FRAME-RATE"]) == ("64x32", "8.000")
    targets = set()
    for count in range(1, 5):
        before = text

        async def has(count: int = count) -> bool:
            return len(hls_rules.media((await rig.http.get(where)).text).segments) == count

        await until(has)
        text = (await rig.http.get(where)).text
        hls_rules.grew(before, text)
        targets.add(hls_rules.media(text).target_s)
        assert not hls_rules.media(text).ended
        gate.step()
    assert targets == {1}
    gate.set()
    await rig.i2v.ended(job.name)

    async def has_ended() -> bool:
        return hls_rules.media((await rig.http.get(where)).text).ended

    await until(has_ended)
    whole = (await rig.http.get(where)).text
    hls_rules.grew(text, whole)
    assert hls_rules.media(whole).duration_s == 2
    made = await parts(rig.http, where, whole)
    assert shown(made[0][0] + b"".join(data for _, data in made)) == TWO_SECONDS


async def test_a_player_that_comes_before_the_first_fragment_gets_it_as_soon_as_it_is_there(
    steps: tuple[Rig, Steps],
) -> None:
    rig, gate = steps
    await submitted(rig)  # has the only slot
    _, url = await submitted(rig, prompt="another")
    waiting = asyncio.create_task(rig.http.get(url))

    async def is_waiting() -> bool:
        return "i2v_studio_live_waiting 1.0" in (await rig.http.get(rig.metrics)).text

    await until(is_waiting)
    gate.set()
    answer = await waiting
    assert answer.status_code == 200
    hls_rules.multivariant(answer.text)


async def test_a_stopped_job_stays_playable_as_far_as_it_came(steps: tuple[Rig, Steps]) -> None:
    rig, gate = steps
    job, url = await submitted(rig)
    await ready(rig, job, 1)
    gate.step()
    await ready(rig, job, 2)
    await rig.i2v.cancel(job.name)
    await rig.i2v.ended(job.name)
    assert await asyncio.to_thread(played, url) == TWO_SECONDS[:8]


async def test_a_replaced_fragment_disturbs_nobody(database: str, tmp_path: Path) -> None:
    backend, gate = stepped()
    async with before_an_api(database, tmp_path, backend) as rig:
        job, url = await submitted(rig, seed=3)
        await ready(rig, job, 1)
        gate.step()
        await ready(rig, job, 2)
        early, before = await media(rig.http, url)
        assert len(hls_rules.media(before).segments) == 2
        # The next attempt makes all but the first fragment otherwise.
        backend.frames = lambda count, size, seed: np.concatenate(
            [noise(count, size, seed)[:4], noise(count, size, 9)[4:]]
        )
        gate.trouble = Unavailable("the engine is lost", reason=ServiceReason.GOING_DOWN)
        gate.set()
        await rig.i2v.ended(job.name)
        later, _ = await media(rig.http, url)
        assert (early.split("/")[-2], later.split("/")[-2]) == ("0", "1")

        async def ended() -> bool:
            return hls_rules.media((await rig.http.get(early)).text).ended

        await until(ended)
        text = (await rig.http.get(early)).text
        hls_rules.grew(before, text)
        assert [each.discontinuity for each in hls_rules.media(text).segments] == [False] * 4, "the same header"
        assert await asyncio.to_thread(played, url) == TWO_SECONDS
        assert await asyncio.to_thread(played, early) == TWO_SECONDS


async def test_segments_have_ranges_tags_and_a_long_life(steps: tuple[Rig, Steps]) -> None:
    rig, gate = steps
    job, url = await submitted(rig)
    gate.set()
    await rig.i2v.ended(job.name)
    where, text = await media(rig.http, url)
    for uri in (hls_rules.media(text).segments[1].uri, hls_rules.media(text).segments[1].init):
        each = where.rpartition("/")[0] + "/" + uri
        whole = await rig.http.get(each)
        assert whole.headers["content-type"] == "video/mp4"
        assert whole.headers["cache-control"] == "private, immutable"
        left = parsedate_to_datetime(whole.headers["expires"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < left <= timedelta(hours=1)
        head = await rig.http.head(each)
        assert (head.headers["content-length"], head.content) == (str(len(whole.content)), b"")
        for first, last in ((0, 0), (3, 40), (20, 150), (len(whole.content) - 5, len(whole.content) - 1)):
            part = await rig.http.get(each, headers={"Range": f"bytes={first}-{last}"})
            assert (part.status_code, part.content) == (206, whole.content[first : last + 1])
        known = await rig.http.get(each, headers={"If-None-Match": whole.headers["etag"]})
        assert known.status_code == 304
    for each in (url, where):
        answer = await rig.http.get(each)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_one_segment_alone_is_what_a_browser_appends(steps: tuple[Rig, Steps]) -> None:
    rig, gate = steps
    job, url = await submitted(rig)
    gate.set()
    await rig.i2v.ended(job.name)
    made = await parts(rig.http, *await media(rig.http, url))
    init, last = made[0][0], made[-1][1]
    assert init[4:8] == b"ftyp" and b"moof" not in init
    assert last[4:8] == b"moof"
    with av.open(io.BytesIO(init + last)) as opened:
        stream = opened.streams.video[0]
        times = [packet.pts * stream.time_base for packet in opened.demux(stream) if packet.size]
        assert times == TWO_SECONDS[12:]


async def test_the_log_has_no_token_and_the_metrics_count(steps: tuple[Rig, Steps]) -> None:
    rig, gate = steps
    job, url = await submitted(rig)
    gate.set()
    await rig.i2v.ended(job.name)
    await media(rig.http, url)
    await rig.http.get(url[:-3])
    token = (await sign(rig.i2v, job.name)).token
    assert "live." not in rig.log.read_text()
    counted = (await rig.http.get(rig.metrics)).text
    assert 'i2v_studio_live_answers_total{kind="media"} 1.0' in counted
    assert "i2v_studio_live_waiting 0.0" in counted
    assert token[:30] not in counted


async def test_expired_deleted_and_other_peoples_videos_show_nothing(steps: tuple[Rig, Steps]) -> None:
    rig, gate = steps
    job, url = await submitted(rig)
    gate.set()
    ended = await rig.i2v.ended(job.name)
    where, _ = await media(rig.http, url)
    for who in ({"I2V-User": "ben"}, {"Authorization": "Bearer story-key"}, {"Authorization": "Bearer unknown"}):
        headers = {"Authorization": "Bearer studio-key", "I2V-User": "ann"} | who
        answer = await rig.http.get(url.partition("?")[0], headers=headers)
        assert answer.status_code == (401 if "unknown" in headers["Authorization"] else 404)
    short = (await sign(rig.i2v, job.name, seconds=1)).url

    async def has_expired() -> bool:
        return (await rig.http.get(short)).status_code == 410

    await until(has_expired)
    name = asset_pb2.DeleteAssetRequest(name=ended.output.asset)
    await rig.i2v.assets.DeleteAsset(name, metadata=caller())

    async def is_gone() -> bool:
        return [(await rig.http.get(each)).status_code for each in (url, where)] == [404, 404]

    await until(is_gone)
