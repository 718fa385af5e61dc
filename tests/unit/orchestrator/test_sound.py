"""Uploaded sounds: the measured length is that of the decoded sound; a file without one is refused."""

from pathlib import Path

import pytest

from services.errors import InvalidUpload
from services.orchestrator.media.probe import probe, probe_audio
from tests.support import sounds


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sound"


@pytest.mark.parametrize("media_type", sounds.FORMATS)
def test_a_sound_of_any_format_is_measured(media_type: str, file: Path) -> None:
    file.write_bytes(sounds.a_sound(media_type, 3.0))
    info = probe_audio(file)
    assert (info.media_type, info.channels, info.sample_rate) == (media_type, 1, sounds.RATE)
    assert info.duration_s == pytest.approx(3.0, abs=0.1)  # codecs add a little silence at the ends


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "AUDIO_FORMAT"),
        (b"<html>not a sound</html>", "AUDIO_FORMAT"),
        (b"ID3" + bytes(100), "AUDIO_UNREADABLE"),
        (b"RIFF\x24\0\0\0WAVE", "AUDIO_UNREADABLE"),
        (sounds.a_slow_wav(0), "AUDIO_UNREADABLE"),
        (sounds.a_slow_wav(3601), "AUDIO_TOO_LONG"),
        (sounds.a_slow_wav(7200), "AUDIO_TOO_LONG"),
        (sounds.a_sound("audio/ogg")[:100], "AUDIO_UNREADABLE"),
        (sounds.a_film(), "AUDIO_FORMAT"),
    ],
    ids=["nothing", "a page", "a tag alone", "a head alone", "0 s", "1 h", "2 h", "cut off", "a film"],
)
def test_a_file_without_audible_sound_is_refused(data: bytes, reason: str, file: Path) -> None:
    file.write_bytes(data)
    with pytest.raises(InvalidUpload) as refused:
        probe_audio(file)
    assert refused.value.reason == reason


def test_a_false_length_in_a_header_is_ignored(file: Path) -> None:
    file.write_bytes(sounds.a_wav_with_a_header_of(500))
    assert probe_audio(file).duration_s == pytest.approx(1.0)


def test_a_sound_of_an_hour_is_the_longest(file: Path) -> None:
    file.write_bytes(sounds.a_slow_wav(3600))
    assert probe_audio(file).duration_s == 3600


def test_the_sound_of_a_video_is_measured_too(file: Path) -> None:
    file.write_bytes(sounds.a_film())
    info = probe(file)
    assert (info.frames, info.width) == (16, 64)
    assert info.audio_s == pytest.approx(1.0, abs=0.1)
