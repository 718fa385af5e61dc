"""A vendor's video gets the pixel mark: it is encoded again, and nothing else of it changes."""

import asyncio
import io
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.media.output_marking import MOST_PIXELS, SandboxedMarking
from services.orchestrator.media.probe import find_mark, keep_output, probe_output
from services.orchestrator.media.sandbox import Sandbox
from services.orchestrator.ports.media import NotMarked

RATE, FRAMES = 25, 30
MARKING = SandboxedMarking()
LUMA = {"yuv420p": "gray", "yuvj420p": "gray", "yuv420p10le": "gray10le"}
X265 = {"x265-params": "log-level=none"}


def a_video(
    codec: str = "libx264",
    size: tuple[int, int] = (224, 128),
    form: str = "yuv420p",
    *,
    sound: str | None = None,
    container: str = "mp4",
    uneven: bool = False,
    **options: str,
) -> bytes:
    """A moving pattern, longer than a second. With `uneven`, some frames are shown twice as long as others."""
    made, (width, height) = io.BytesIO(), size
    coarse = np.random.default_rng(3).integers(0, 256, (30, 30, 3), np.uint8)
    wall = np.kron(coarse, np.ones((20, 20, 1), np.uint8))
    with av.open(made, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=RATE, width=width, height=height, pix_fmt=form, options=options)
        voice: Any = file.add_stream(sound, rate=48_000, layout="mono") if sound else None
        if "10" in form:
            stream.codec_context.color_trc, stream.codec_context.color_primaries = 16, 9  # PQ, BT.2020
        at = 0
        for index in range(FRAMES):
            pixels = np.ascontiguousarray(wall[index : index + height, 2 * index : 2 * index + width])
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=form)
            frame.pts, at = at, at + (1 + index % 2 if uneven else 1)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        for start in range(0, 48_000 if voice else 0, 960):
            samples = (np.sin(np.arange(start, start + 960) / 20) * 8000).astype(np.int16)[None]
            heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            heard.sample_rate, heard.pts = 48_000, start
            file.mux(voice.encode(heard))
        if voice:
            file.mux(voice.encode(None))
    return made.getvalue()


def marked(data: bytes, folder: Path) -> Path:
    path = folder / "video"
    path.write_bytes(data)
    info, kept = keep_output(path)
    made, file = asyncio.run(MARKING.mark(kept, info, tenant="studio"))
    assert (made.media_type, made) == ("video/mp4", probe_output(file))
    assert not find_mark(kept) and find_mark(file)
    return file


def pictures(path: Path) -> tuple[list[float], list[Any]]:
    """The time and the luma of each frame."""
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
    return [frame.time or 0.0 for frame in frames], [
        frame.to_ndarray(format=LUMA[frame.format.name]).astype(float) for frame in frames
    ]


def sounds(path: Path) -> list[tuple[bytes, float]]:
    with av.open(str(path)) as file:
        assert file.streams.audio
        return [(bytes(each), float(each.pts * each.time_base)) for each in file.demux(audio=0) if each.size]


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "as most vendors send it": ({"sound": "aac"}, "h264"),
    "with frames of different lengths": ({"uneven": True}, "h264"),
    "with full range": ({"form": "yuvj420p"}, "h264"),
    "of odd size": ({"codec": "libvpx-vp9", "size": (225, 127), "sound": "libopus"}, "vp9"),
    "with a high dynamic range": ({"codec": "libx265", "form": "yuv420p10le", **X265}, "hevc"),
    "in QuickTime": ({"container": "mov", "sound": "aac"}, "h264"),
    "in WebM": ({"codec": "libvpx-vp9", "container": "webm", "sound": "libopus"}, "h264"),
    "in a codec that MP4 does not support": ({"codec": "libvpx", "container": "webm"}, "h264"),
}


@pytest.mark.parametrize(("given", "codec"), CASES.values(), ids=CASES)
def test_the_frames_get_the_mark_and_keep_their_number_times_and_colours(
    tmp_path: Path, given: dict[str, Any], codec: str
) -> None:
    file = marked(a_video(**given), tmp_path)
    times, before = pictures(tmp_path / "video")
    later, after = pictures(file)
    assert len(after) == FRAMES
    assert later == pytest.approx(times, abs=0.002)
    for one, other in zip(before, after, strict=True):
        error = np.mean((one.astype(np.float64) - other) ** 2)
        assert 10 * np.log10((1023 if "10" in str(given.get("form")) else 255) ** 2 / error) > 38
    with av.open(str(tmp_path / "video")) as source, av.open(str(file)) as made:
        first, second = source.streams.video[0].codec_context, made.streams.video[0].codec_context
        assert second.name.removeprefix("lib") == codec
        for name in ("color_trc", "color_primaries", "colorspace"):
            if second.name == first.name:  # VP8 says nothing of its colours
                assert getattr(first, name) == getattr(second, name)
        assert second.pix_fmt == given.get("form", "yuv420p")
    if "sound" in given:
        packets, copied = sounds(tmp_path / "video"), sounds(file)
        assert [data for data, _ in packets] == [data for data, _ in copied]
        assert [at for _, at in packets] == pytest.approx([at for _, at in copied], abs=0.002)


def test_a_player_need_not_load_the_whole_file_and_equal_videos_stay_equal(tmp_path: Path) -> None:
    given = a_video(sound="aac")
    made = marked(given, tmp_path).read_bytes()
    assert 0 < made.find(b"moov") < made.find(b"mdat")
    assert marked(given, tmp_path).read_bytes() == made


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (a_video(container="matroska", sound="flac"), "sound that MP4 does not support"),
        (a_video("ffv1", container="matroska"), "a codec that is not encoded again"),
        (a_video(form="yuv444p"), "yuv444p"),
    ],
)
def test_a_video_that_would_lose_something_is_not_marked(tmp_path: Path, given: bytes, why: str) -> None:
    with pytest.raises(NotMarked, match=why):
        marked(given, tmp_path)
    assert (tmp_path / "video").read_bytes() == given


def test_a_video_with_a_damaged_part_is_not_marked(tmp_path: Path) -> None:
    given = bytearray(a_video())
    given[-4000:-2000] = bytes(2000)
    with pytest.raises(NotMarked):
        marked(bytes(given), tmp_path)


async def test_no_broken_video_does_more_than_stay_without_the_mark(tmp_path: Path) -> None:
    whole, chance, path = bytearray(a_video(sound="aac")), np.random.default_rng(11), tmp_path / "video"
    info, outcomes = VideoInfo("video/mp4", 224, 128, FRAMES, RATE, FRAMES / RATE, 1.0), set()
    for _ in range(30):
        broken = whole.copy()
        for at in chance.integers(0, len(broken), 4):
            broken[at] = chance.integers(0, 256)
        path.write_bytes(broken)
        try:
            await MARKING.mark(path, info, tenant="studio")
            outcomes.add("marked")
        except NotMarked as error:
            assert "crashes" not in str(error)
            outcomes.add("unmarked")
        assert path.read_bytes() == broken
    assert outcomes == {"marked", "unmarked"}


async def test_a_large_video_is_not_marked_nor_one_that_takes_too_long(tmp_path: Path) -> None:
    path = tmp_path / "video"
    path.write_bytes(a_video(size=(640, 352)))  # a smaller one may be done before the kernel looks at the time
    info = probe_output(path)
    with pytest.raises(NotMarked, match="million pixels"):
        large = replace(info, width=4000, height=4000, frames=MOST_PIXELS // 16_000_000 + 1)
        await MARKING.mark(path, large, tenant="studio")
    hasty = SandboxedMarking(Sandbox("encodings", size=1, limit_s=0.01))
    with pytest.raises(NotMarked, match="processor time"):
        await hasty.mark(path, info, tenant="studio")
    assert probe_output(path) == info


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110  another thread changes it
            await asyncio.sleep(0.01)


async def test_the_work_stops_when_the_caller_gives_up(tmp_path: Path) -> None:
    path, busy = tmp_path / "video", Sandbox("encodings", size=1, limit_s=60)
    path.write_bytes(a_video())
    info = probe_output(path)
    marking = SandboxedMarking(busy, at_once=1)
    await marking.mark(path, info, tenant="studio")
    [child] = busy.pids()
    os.kill(child, signal.SIGSTOP)  # it never answers
    work = asyncio.create_task(marking.mark(path, info, tenant="studio"))
    await until(lambda: not busy.pids())
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await marking.mark(path, info, tenant="studio")  # the turn is free, and a new child works
    assert busy.pids() != [child]
