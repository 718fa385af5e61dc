"""Sounds as phones, recorders and programs write them: their format and their playing time."""

import math
from pathlib import Path

import pytest

from services.errors import InvalidUpload
from services.orchestrator.media.probe import probe, probe_audio
from tests.support import pictures, sounds

M4A = sounds.a_sound("audio/mp4", 2.0)
LAME = {"codec": "libmp3lame", "container_format": "mp3"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sound"


# --- which kind ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "brand", [b"M4A ", b"M4B ", b"mp42", b"mp41", b"isom", b"iso5", b"3gp4", b"3gp5", b"dash", b"qt  "]
)
def test_an_mp4_with_only_a_sound_is_a_sound_for_every_brand(brand: bytes, file: Path) -> None:
    file.write_bytes(sounds.branded(M4A, brand))
    info = probe_audio(file)
    assert (info.media_type, info.duration_s) == ("audio/mp4", 2.0)


@pytest.mark.parametrize("flags", ["frag_keyframe+empty_moov+default_base_moof", "dash+frag_every_frame"])
def test_an_mp4_in_fragments_is_measured_too(flags: str, file: Path) -> None:
    file.write_bytes(sounds.encoded(3.0, "mp4", "aac", options={"movflags": flags}))
    assert probe_audio(file).duration_s == pytest.approx(3.0, abs=0.001)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100])
def test_an_mp3_is_one_at_every_sampling_rate(rate: int, file: Path) -> None:
    data = sounds.encoded(2.0, **LAME, rate=rate, options={"id3v2_version": "0", "write_xing": "0"})
    assert data[:2] in (b"\xff\xe3", b"\xff\xf3", b"\xff\xfb")
    file.write_bytes(data)
    info = probe_audio(file)
    assert (info.media_type, info.sample_rate) == ("audio/mpeg", rate)


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        (sounds.an_id3(), b""),
        (sounds.an_id3() + sounds.an_id3(100), b""),
        (bytes(500), b""),
        (b"the end of another frame" * 9, b""),
        (b"", b"TAG" + bytes(125)),
        (b"", b"APETAGEX" + bytes(24) + b"TAG" + bytes(125)),
    ],
    ids=["ID3", "two ID3", "zeros", "a stream joined late", "ID3v1", "APE"],
)
def test_tags_and_padding_around_an_mp3_are_no_sound(before: bytes, behind: bytes, file: Path) -> None:
    file.write_bytes(before + sounds.encoded(2.0, **LAME, options={"id3v2_version": "0"}) + behind)
    info = probe_audio(file)
    assert (info.media_type, info.duration_s) == ("audio/mpeg", pytest.approx(2.0, abs=0.03))


@pytest.mark.parametrize(("media_type", "found"), [("audio/aac", "audio/aac"), ("audio/flac", "audio/flac")])
def test_what_follows_an_id3_tag_decides(media_type: str, found: str, file: Path) -> None:
    file.write_bytes(sounds.an_id3() + sounds.a_sound(media_type, 2.0))
    assert probe_audio(file).media_type == found


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"FORM\0\0\0\x2eAIFF" + bytes(40), "is an AIFF sound"),
        (b"#!AMR\n" + bytes(40), "is an AMR sound"),
        (bytes.fromhex("3026b2758e66cf11") + bytes(40), "Windows Media"),
        (b"caff\0\1" + bytes(40), "is a CAF sound"),
        ((b"G" + b"\xff\xf1\x50" * 62 + b"\0") * 4, "is an MPEG transport stream video"),
        (b"\x1a\x45\xdf\xa3" + bytes(40), "is a WebM or Matroska video"),
        (b"RF64\xff\xff\xff\xffWAVE" + bytes(40), "is an RF64 sound"),
        (pictures.a_picture(), "is a PNG picture"),
        (b"%PDF-1.7" + bytes(40), "is a PDF file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unsupported_format_is_refused_by_name(data: bytes, says: str, file: Path) -> None:
    file.write_bytes(data)
    with pytest.raises(InvalidUpload) as refused:
        probe_audio(file)
    assert refused.value.reason == "AUDIO_FORMAT"
    assert says in refused.value.message and "MP3, WAV, Ogg, FLAC, M4A or AAC" in refused.value.message


# --- how long --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", sounds.FORMATS)
@pytest.mark.parametrize("seconds", [3.0, 10.0, 30.0])
def test_a_sound_plays_as_long_as_what_was_encoded(media_type: str, seconds: float, file: Path) -> None:
    file.write_bytes(sounds.a_sound(media_type, seconds))
    assert probe_audio(file).duration_s == seconds


@pytest.mark.parametrize("media_type", sorted(set(sounds.FORMATS) - {"audio/aac"}))
def test_a_sound_of_no_whole_seconds_is_measured_to_the_sample(media_type: str, file: Path) -> None:
    file.write_bytes(sounds.a_sound(media_type, 7.345))
    assert probe_audio(file).duration_s == pytest.approx(7.345, abs=1e-4)


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_an_mp3_without_its_padding_is_rounded_within_it(rate: int, file: Path) -> None:
    file.write_bytes(sounds.encoded(10.0, **LAME, rate=rate, options={"write_xing": "0"}))
    assert probe_audio(file).duration_s == 10.0
    file.write_bytes(sounds.encoded(10.4, **LAME, rate=rate, options={"write_xing": "0"}))
    assert probe_audio(file).duration_s == pytest.approx(10.4, abs=0.15)


def test_what_is_longer_by_more_than_its_padding_stays_longer(file: Path) -> None:
    for media_type in ("audio/wav", "audio/flac"):
        file.write_bytes(sounds.a_sound(media_type, 10.01))
        assert math.ceil(probe_audio(file).duration_s) == 11
    file.write_bytes(sounds.a_sound("audio/mpeg", 10.2))
    assert math.ceil(probe_audio(file).duration_s) == 11


@pytest.mark.parametrize(
    "odd",
    [
        {"before": b"LIST\x12\0\0\0INFOISFT\5\0\0\0Lavf\0\0"},
        {"before": b"note\3\0\0\0abc\0"},
        {"before": b"JUNK\x1c\0\0\0" + bytes(28)},
        {"before": b"bext\2\0\0\0ab"},
        {"riff": 0},
        {"riff": 0xFFFFFFFF, "size": 0xFFFFFFFF},
        {"riff": 36, "size": 0},
        {"size": 10_000_000},
    ],
    ids=str,
)
def test_a_wav_with_odd_chunks_and_wrong_sizes_is_as_long_as_its_data(odd: dict[str, object], file: Path) -> None:
    file.write_bytes(sounds.a_wav(2.0, **odd))  # type: ignore[arg-type]
    info = probe_audio(file)
    assert (info.media_type, info.duration_s) == ("audio/wav", pytest.approx(2.0, abs=0.001))


def test_a_variable_bit_rate_without_its_table_is_measured_by_its_frames(file: Path) -> None:
    data = sounds.encoded(8.0, **LAME, bit_rate=32_000, options={"write_xing": "0"})
    data += sounds.encoded(4.0, **LAME, bit_rate=128_000, options={"write_xing": "0", "id3v2_version": "0"})
    file.write_bytes(data)
    assert probe_audio(file).duration_s == pytest.approx(12.0, abs=0.1)


@pytest.mark.parametrize("part", [0.3, 0.75, 0.9])
@pytest.mark.parametrize("kind", ["audio/flac", "audio/mp4", "in fragments"])
def test_a_sound_that_was_cut_short_is_refused_where_its_kind_tells(kind: str, part: float, file: Path) -> None:
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "2000000"}
    data = sounds.encoded(3.3, "mp4", "aac", options=flags) if kind == "in fragments" else sounds.a_sound(kind, 3.3)
    file.write_bytes(data)
    assert probe_audio(file).duration_s > 3
    file.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InvalidUpload) as refused:
        probe_audio(file)
    assert "the file or its upload was cut short" in refused.value.message


@pytest.mark.parametrize("part", [0.3, 0.74, 0.98])
def test_a_film_that_was_cut_short_is_refused(part: float, file: Path) -> None:
    data = sounds.a_film()
    file.write_bytes(data)
    assert probe(file).audio_s is not None
    file.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InvalidUpload, match="the file or its upload was cut short"):
        probe(file)
