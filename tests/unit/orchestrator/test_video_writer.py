"""Videos: every block plays alone and in sequence, the whole is the same frames, and strange files are refused."""

import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from services.errors import InvalidUpload
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.media.probe import probe
from services.orchestrator.media.video_writer import VideoWriter

Frames = npt.NDArray[np.uint8]

BLOCKS = (1, 8, 8, 3)


def some_frames(count: int, width: int = 224, height: int = 128) -> Frames:
    """A soft scene that moves."""
    y, x = np.mgrid[0:height, 0:width]
    scene = [
        np.stack(
            [128 + 100 * np.sin((x + 3 * t) / 40), 128 + 90 * np.cos((y - 2 * t) / 30), 40 + (x + y + t) * 0.4], -1
        )
        for t in range(count)
    ]
    return np.clip(np.stack(scene), 0, 255).astype(np.uint8)


def written(writer: VideoWriter, frames: Frames, blocks: tuple[int, ...] = BLOCKS) -> list[bytes]:
    edges = np.cumsum((0, *blocks))
    return [writer.add(frames[start:end]) for start, end in pairwise(edges)]


def decoded(data: bytes) -> list[tuple[Fraction, Frames]]:
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return [
            (frame.pts * frame.time_base, frame.to_ndarray(format="rgb24"))  # type: ignore[operator]
            for frame in container.decode(video=0)
        ]


def boxes(data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 0
    while position < len(data):
        size, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        assert 8 <= size <= len(data) - position
        yield name.decode(), data[position + 8 : position + size]
        position += size


def psnr(one: Frames, other: Frames) -> float:
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def test_every_block_is_a_fragment_that_plays_alone() -> None:
    frames = some_frames(20)
    start = 0
    for fragment, count in zip(written(VideoWriter(224, 128, 16), frames), BLOCKS, strict=True):
        assert [name for name, _ in boxes(fragment)] == ["ftyp", "moov", "moof", "mdat"]
        shown = decoded(fragment)
        assert [time for time, _ in shown] == [Fraction(number, 16) for number in range(start, start + count)]
        for (_, made), given in zip(shown, frames[start : start + count], strict=True):
            assert psnr(made, given) > 30
        start += count


def test_fragments_one_after_the_other_are_the_same_frames_as_the_whole(tmp_path: Path) -> None:
    writer = VideoWriter(224, 128, 16)
    fragments = written(writer, some_frames(20))
    writer.finish(tmp_path / "whole.mp4")
    whole = decoded((tmp_path / "whole.mp4").read_bytes())
    together = decoded(b"".join(fragments))
    assert [time for time, _ in together] == [time for time, _ in whole] == [Fraction(n, 16) for n in range(20)]
    for (_, one), (_, other) in zip(together, whole, strict=True):
        assert (one == other).all()


def test_fragments_are_what_a_browser_takes_as_media_segments() -> None:
    fragments = written(VideoWriter(224, 128, 16), some_frames(20))
    starts = []
    for number, fragment in enumerate(fragments, 1):
        moof = dict(boxes(fragment))["moof"]
        assert dict(boxes(moof))["mfhd"][4:] == number.to_bytes(4, "big")
        parts = dict(boxes(dict(boxes(moof))["traf"]))
        starts.append(int.from_bytes(parts["tfdt"][4:], "big"))
    assert starts == [16384 * before // 16 for before in (0, 1, 9, 17)]
    assert len({dict(boxes(fragment))["moov"] for fragment in fragments}) == 1, "one initialisation serves all"


def test_the_whole_file_has_its_index_in_front(tmp_path: Path) -> None:
    writer = VideoWriter(224, 128, 16)
    written(writer, some_frames(20))
    writer.finish(tmp_path / "whole.mp4")
    names = [name for name, _ in boxes((tmp_path / "whole.mp4").read_bytes())]
    assert names.index("moov") < names.index("mdat")
    assert "moof" not in names
    assert probe(tmp_path / "whole.mp4") == VideoInfo("video/mp4", 224, 128, 20, 16.0, 1.25)


def test_the_same_frames_make_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("one.mp4", "another.mp4"):
        writer = VideoWriter(832, 480, 24)
        fragments = written(writer, some_frames(12, 832, 480), (4, 8))
        writer.finish(tmp_path / name)
        made.append((fragments, (tmp_path / name).read_bytes()))
    assert made[0] == made[1]


def test_colours_are_tagged_and_come_back() -> None:
    bars = np.zeros((1, 64, 96, 3), np.uint8)
    for number, colour in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 64, 32))):
        bars[:, :, 16 * number : 16 * number + 16] = colour
    fragment = VideoWriter(96, 64, 16).add(bars)
    with av.open(io.BytesIO(fragment)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (1, 1, 1, 1)
    ((_, made),) = decoded(fragment)
    for middle in range(8, 96, 16):
        assert np.abs(made[32, middle].astype(int) - bars[0, 32, middle]).max() < 12


@pytest.mark.parametrize("fps", [16, 24, 23.976, 30])
def test_a_rate_need_not_be_whole(tmp_path: Path, fps: float) -> None:
    writer = VideoWriter(64, 64, fps)
    writer.add(some_frames(8, 64, 64))
    writer.finish(tmp_path / "whole: 1.mp4")
    info = probe(tmp_path / "whole: 1.mp4")
    assert info.frames == 8
    assert info.fps == pytest.approx(fps, abs=0.01)
    assert info.duration_s == pytest.approx(8 / fps, abs=0.001)


def a_whole(folder: Path) -> bytes:
    writer = VideoWriter(64, 48, 16)
    writer.add(some_frames(10, 64, 48))
    writer.finish(folder / "whole.mp4")
    return (folder / "whole.mp4").read_bytes()


def test_arguments_that_make_no_video_are_an_error_of_the_caller(tmp_path: Path) -> None:
    for width, height, fps in ((225, 128, 16), (224, 127, 16), (0, 128, 16), (224, 128, 0)):
        with pytest.raises(ValueError, match="a video"):
            VideoWriter(width, height, fps)
    writer = VideoWriter(224, 128, 16)
    with pytest.raises(ValueError, match="at least one frame"):
        writer.finish(tmp_path / "whole.mp4")
    for block in (some_frames(1)[:0], some_frames(1, 128, 224), some_frames(1).astype(np.float32), some_frames(1)[0]):
        with pytest.raises(ValueError, match="a block is uint8"):
            writer.add(block)  # type: ignore[arg-type]


# --- probing of files -----------------------------------------------------------------------------------------------


def a_file(form: str = "mp4", codec: str = "libx264", count: int = 10, **options: str) -> bytes:
    """A video made by another way than ours: with B-frames, and a rate of 25."""
    out = io.BytesIO()
    with av.open(out, "w", format=form, container_options=options) as container:
        stream = container.add_stream(codec, rate=25, width=64, height=48, pix_fmt="yuv420p")
        for frame in some_frames(count, 64, 48):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    return out.getvalue()


def probed(data: bytes, folder: Path) -> VideoInfo:
    (folder / "video").write_bytes(data)
    return probe(folder / "video")


def test_a_video_of_another_encoder_is_measured(tmp_path: Path) -> None:
    expected = VideoInfo("video/mp4", 64, 48, 10, 25.0, 0.4)
    assert probed(a_file(), tmp_path) == expected
    assert probed(a_file(movflags="frag_keyframe+empty_moov"), tmp_path) == expected


def test_fragments_in_one_file_are_measured_too(tmp_path: Path) -> None:
    fragments = written(VideoWriter(224, 128, 16), some_frames(20))
    assert probed(b"".join(fragments), tmp_path) == VideoInfo("video/mp4", 224, 128, 20, 16.0, 1.25)


def no_video() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        silence.rate = 44100
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (b"", "VIDEO_UNREADABLE", "no MP4"),
        (b"no video at all" * 100, "VIDEO_UNREADABLE", "no MP4"),
        (a_file("matroska"), "VIDEO_UNREADABLE", "no MP4"),
        (a_file("mov"), "VIDEO_FORMAT", "QuickTime"),
        (a_file(codec="mpeg4"), "VIDEO_FORMAT", "mpeg4; only H.264"),
        (no_video(), "VIDEO_UNREADABLE", "no video track"),
        (a_file()[:300], "VIDEO_UNREADABLE", "ends before it should"),
    ],
)
def test_a_file_that_is_not_h264_in_mp4_is_refused(tmp_path: Path, data: bytes, reason: str, says: str) -> None:
    with pytest.raises(InvalidUpload, match=says) as caught:
        probed(data, tmp_path)
    assert caught.value.reason == caught.value.violations[0].reason == reason


def test_a_file_with_an_index_and_no_pictures_is_refused(tmp_path: Path) -> None:
    data = a_whole(tmp_path)
    at = data.index(b"mdat") + 4
    for broken in (data[:at], data[:at] + bytes(len(data) - at)):
        with pytest.raises(InvalidUpload) as caught:
            probed(broken, tmp_path)
        assert caught.value.reason == "VIDEO_UNREADABLE"


def test_a_broken_file_is_only_refused(tmp_path: Path) -> None:
    whole = bytearray(a_whole(tmp_path))
    chance = np.random.default_rng(7)
    for _ in range(60):
        broken = whole.copy()
        for at in chance.integers(0, len(broken), 20):
            broken[at] = chance.integers(0, 256)
        try:
            probed(bytes(broken), tmp_path)
        except InvalidUpload as error:
            assert "crashes" not in error.message
