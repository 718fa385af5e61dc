"""A playable video of a vendor is delivered: as MP4 if MP4 supports its codecs, otherwise unchanged."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

from services.errors import InvalidUpload
from services.orchestrator.media.probe import keep_output
from services.providers.video_signature import is_video, other
from tests.unit.orchestrator.test_video_writer import a_file, some_frames

FRAMES, RATE = 25, 25


def a_webm(video: str = "libvpx-vp9", sound: str | None = "libopus", form: str = "webm") -> bytes:
    """A second of video, and of sound."""
    made = io.BytesIO()
    with av.open(made, "w", format=form) as container:
        stream = container.add_stream(video, rate=RATE, width=64, height=48, pix_fmt="yuv420p")
        voice = container.add_stream(sound, rate=48_000, layout="mono") if sound else None
        for frame in some_frames(FRAMES, 64, 48):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
        if voice is not None:
            for start in range(0, 48_000, 960):
                samples = (np.sin(np.arange(start, start + 960) / 20) * 8000).astype(np.int16)[None]
                heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                heard.sample_rate, heard.pts = 48_000, start
                container.mux(voice.encode(heard))  # type: ignore[attr-defined]
            container.mux(voice.encode(None))  # type: ignore[attr-defined]
    return made.getvalue()


def kept(data: bytes, folder: Path) -> tuple[str, bytes, float, float | None]:
    """Media type and bytes of the kept file, and the playing times of its video and its sound."""
    path = folder / "video"
    path.write_bytes(data)
    info, file = keep_output(path)
    assert (info.width, info.height, info.frames) == (64, 48, FRAMES)
    assert info.fps == pytest.approx(RATE, rel=0.02)
    return info.media_type, file.read_bytes(), info.duration_s, info.audio_s


def tracks(data: bytes) -> list[str]:
    with av.open(io.BytesIO(data)) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES
        return [stream.codec_context.name for stream in container.streams]


@pytest.mark.parametrize(
    ("video", "sound"), [("libvpx-vp9", "libopus"), ("libvpx-vp9", None), ("libsvtav1", "libopus")]
)
def test_webm_with_codecs_of_mp4_becomes_mp4_with_the_same_pictures_and_sound(
    tmp_path: Path, video: str, sound: str | None
) -> None:
    given = a_webm(video, sound)
    assert is_video(given[:12])
    media_type, made, length_s, heard_s = kept(given, tmp_path)
    assert (media_type, made[4:8]) == ("video/mp4", b"ftyp")
    assert tracks(made) == tracks(given)
    assert length_s == pytest.approx(1, abs=0.02)
    assert heard_s == (pytest.approx(1, abs=0.05) if sound else None)
    with av.open(io.BytesIO(given)) as before, av.open(io.BytesIO(made)) as after:
        for one, other in zip(before.decode(video=0), after.decode(video=0), strict=True):
            assert np.array_equal(one.to_ndarray(), other.to_ndarray())
            assert one.time == pytest.approx(other.time, abs=0.002)


@pytest.mark.parametrize(("video", "sound"), [("libvpx", "libopus"), ("libvpx", None)])
def test_webm_with_codecs_that_mp4_lacks_is_kept_unchanged(tmp_path: Path, video: str, sound: str | None) -> None:
    given = a_webm(video, sound)
    assert kept(given, tmp_path)[:2] == ("video/webm", given)


def test_matroska_is_accepted(tmp_path: Path) -> None:
    assert kept(a_webm("libvpx-vp9", "aac", "matroska"), tmp_path)[0] == "video/mp4"
    for odd in (a_webm("ffv1", None, "matroska"), a_webm("libx264", "aac", "matroska")):
        assert kept(odd, tmp_path)[:2] == ("video/matroska", odd)


def test_mp4_is_kept_unchanged(tmp_path: Path) -> None:
    given = a_file(count=FRAMES)
    assert kept(given, tmp_path)[:2] == ("video/mp4", given)
    media_type, made, *_ = kept(a_file("mov", count=FRAMES), tmp_path)
    assert (media_type, made[4:8], made[8:10] == b"qt") == ("video/mp4", b"ftyp", False)


def test_a_provider_accepts_the_same_formats_as_the_orchestrator_and_names_others(tmp_path: Path) -> None:
    for given in (a_webm(), a_webm("ffv1", None, "matroska"), a_file(), a_file("mov"), a_file("mp4", movflags="isml")):
        assert is_video(given[:12])
    for form, codec, name in (("avi", "mpeg4", "an AVI video"), ("gif", "gif", "a GIF"), ("mpegts", "libx264", "MPEG")):
        given = a_file(form, codec) if form != "gif" else b"GIF89a" + bytes(20)
        assert not is_video(given[:12]) and name in other(given[:12])
        (tmp_path / "video").write_bytes(given)
        with pytest.raises(InvalidUpload):
            keep_output(tmp_path / "video")
    assert (is_video(b"<html><body>"), other(b"<html><body>")) == (False, "")


@pytest.mark.parametrize("cut", [0, 4, 40, 400])
def test_a_broken_webm_is_refused_by_name(tmp_path: Path, cut: int) -> None:
    with pytest.raises(InvalidUpload) as refused:
        kept(a_webm(sound=None)[:cut], tmp_path)
    assert refused.value.reason == "VIDEO_UNREADABLE"


def test_no_broken_webm_does_more_than_being_refused(tmp_path: Path) -> None:
    whole = bytearray(a_webm())
    chance = np.random.default_rng(7)
    for _ in range(40):
        broken = whole.copy()
        for at in chance.integers(0, len(broken), 20):
            broken[at] = chance.integers(0, 256)
        (tmp_path / "video").write_bytes(broken)
        try:
            keep_output(tmp_path / "video")
        except InvalidUpload as error:
            assert "crashes" not in error.message
