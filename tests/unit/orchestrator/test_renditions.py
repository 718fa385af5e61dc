"""Renditions of good files show what is in them; of bad files there is none, and the reason is a sentence."""

import io
import struct
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from services.orchestrator.domain.media_info import AudioInfo, PictureInfo, VideoInfo
from services.orchestrator.domain.rendition import Recipe, Variant, made_from, recipe_of
from services.orchestrator.media.perceptual_hash import perceptual_hash
from services.orchestrator.media.probe import probe, probe_audio
from services.orchestrator.media.rendition_maker import SandboxedRenditions
from services.orchestrator.media.sandbox import Sandbox
from services.orchestrator.media.sheets import clock
from services.orchestrator.media.video_writer import VideoWriter
from services.orchestrator.ports.renditions import Made, NotMade
from tests.support.pictures import a_picture
from tests.support.sounds import a_slow_wav, a_sound

GOLDEN = Path(__file__).parents[2] / "golden"
COLOURS = ((200, 40, 40), (40, 180, 40), (40, 60, 200), (200, 200, 40), (230, 230, 230))


@pytest.fixture(scope="module")
def maker() -> SandboxedRenditions:
    return SandboxedRenditions()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds, each of one colour."""
    return a_video(tmp_path_factory.mktemp("videos") / "video.mp4")


def a_video(path: Path, width: int = 320, height: int = 180) -> Path:
    writer = VideoWriter(width, height, 16)
    for colour in COLOURS:
        writer.add(np.full((16, height, width, 3), colour, np.uint8))
    writer.finish(path)
    return path


async def made(maker: SandboxedRenditions, recipe: Recipe, path: Path, folder: Path) -> dict[Variant, Path]:
    """Makes a recipe. Returns the files by variant, and checks that each is what the maker says of it."""
    return {each.variant: file for each, file in (await all_of(maker, recipe, path, folder)).files}


async def all_of(maker: SandboxedRenditions, recipe: Recipe, path: Path, folder: Path) -> Made:
    info: PictureInfo | VideoInfo | AudioInfo
    if path.suffix == ".mp4":
        info = probe(path)
    elif path.suffix in (".wav", ".mp3"):
        info = probe_audio(path)
    else:
        info = PictureInfo("image/png", 1, 1)
    made = await maker.make(recipe, path, info, folder, tenant="studio")
    assert tuple(each.variant for each, _ in made.files) != ()
    assert {each.variant for each, _ in made.files} == set(made_from(info)[recipe])
    for each, file in made.files:
        assert file.stat().st_size == each.size_bytes
        if each.width is not None:
            with Image.open(file) as image:
                assert (image.size, image.get_format_mimetype()) == ((each.width, each.height), each.media_type)
    return made


def colour_at(image: Image.Image, x: float, y: float) -> np.ndarray:
    return np.asarray(image.convert("RGB"))[int(y), int(x)].astype(int)


async def test_a_poster_is_the_first_frame_and_thumbnails_keep_its_shape(
    maker: SandboxedRenditions, video: Path, tmp_path: Path
) -> None:
    files = await made(maker, Recipe.STILLS, video, tmp_path)
    sizes = {
        Variant.POSTER: (320, 180),
        Variant.THUMBNAIL_512: (320, 180),
        Variant.THUMBNAIL_256: (256, 144),
        Variant.THUMBNAIL_128: (128, 72),
    }
    for variant, size in sizes.items():
        with Image.open(files[variant]) as image:
            assert image.size == size, variant
            assert np.abs(colour_at(image, size[0] / 2, size[1] / 2) - COLOURS[0]).max() < 12, variant


async def test_the_cues_of_a_storyboard_cover_the_video_and_lead_to_its_tiles(
    maker: SandboxedRenditions, video: Path, tmp_path: Path
) -> None:
    files = await made(maker, Recipe.STORYBOARD, video, tmp_path)
    head, *cues = files[Variant.STORYBOARD_VTT].read_text().strip().split("\n\n")
    assert head == "WEBVTT" and len(cues) == 10
    end_before = "00:00:00.000"
    with Image.open(files[Variant.STORYBOARD]) as sheet:
        for place, cue in enumerate(cues):
            times, target = cue.splitlines()
            begin, end = times.split(" --> ")
            assert begin == end_before
            end_before = end
            left, top, width, height = map(int, target.removeprefix("storyboard#xywh=").split(","))
            assert left + width <= sheet.width and top + height <= sheet.height
            shown = colour_at(sheet, left + width / 2, top + height / 2)
            assert np.abs(shown - COLOURS[place // 2]).max() < 16, cue
    assert end_before == "00:00:05.000"


async def test_a_preview_moves_and_a_contact_sheet_shows_the_whole_video(
    maker: SandboxedRenditions, video: Path, tmp_path: Path
) -> None:
    preview = (await made(maker, Recipe.PREVIEW, video, tmp_path))[Variant.PREVIEW]
    with Image.open(preview) as image:
        assert image.n_frames == len(COLOURS)  # type: ignore[attr-defined]  # equal ones are one, and shown longer
        image.seek(len(COLOURS) - 1)
        assert np.abs(colour_at(image, 160, 90) - COLOURS[-1]).max() < 16
    contact = (await made(maker, Recipe.CONTACT, video, tmp_path))[Variant.CONTACT]
    with Image.open(contact) as image:
        assert image.size == (4 * 332 + 12, 3 * (180 + 34) + 12)
        assert np.abs(colour_at(image, image.width - 100, image.height - 100) - COLOURS[-1]).max() < 16


async def test_a_video_that_was_filmed_sideways_is_shown_upright(maker: SandboxedRenditions, tmp_path: Path) -> None:
    frames = np.full((2, 180, 320, 3), COLOURS[0], np.uint8)
    frames[:, :, 160:] = COLOURS[2]
    writer = VideoWriter(320, 180, 16)
    writer.add(frames)
    writer.finish(tmp_path / "film.mp4")
    data = bytearray((tmp_path / "film.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 44
    assert struct.unpack_from(">9i", data, matrix) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    struct.pack_into(
        ">9i", data, matrix, 0, 1 << 16, 0, -(1 << 16), 0, 0, 180 << 16, 0, 1 << 30
    )  # a quarter, clockwise
    (tmp_path / "film.mp4").write_bytes(data)
    poster = (await made(maker, Recipe.STILLS, tmp_path / "film.mp4", tmp_path))[Variant.POSTER]
    with Image.open(poster) as image:
        assert image.size == (180, 320)
        assert np.abs(colour_at(image, 90, 40) - COLOURS[0]).max() < 16  # left becomes top
        assert np.abs(colour_at(image, 90, 280) - COLOURS[2]).max() < 16


async def test_the_largest_pictures_have_thumbnails(maker: SandboxedRenditions, tmp_path: Path) -> None:
    for form in ("PNG", "JPEG"):
        path = tmp_path / "large"
        Image.new("RGB", (8192, 6100), COLOURS[1]).save(path, form)
        files = await made(maker, Recipe.STILLS, path, tmp_path)
        with Image.open(files[Variant.THUMBNAIL_512]) as image:
            assert image.size == (512, 381)


async def test_a_long_video_is_shown_by_its_key_frames(maker: SandboxedRenditions, video: Path, tmp_path: Path) -> None:
    stated = VideoInfo("video/mp4", 320, 180, 80_000, 16.0, 5.0)  # so many that not all are decoded
    found = await maker.make(Recipe.STORYBOARD, video, stated, tmp_path, tenant="studio")
    cues = {each.variant: file for each, file in found.files}[Variant.STORYBOARD_VTT].read_text()
    assert cues.count("-->") == len(COLOURS)  # a block begins with a key frame


async def test_a_sound_has_a_waveform_that_follows_its_loudness(maker: SandboxedRenditions, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        tone = np.sin(np.arange(8000))
        file.writeframes((np.concatenate((tone * 3000, tone * 30_000))).astype("<i2").tobytes())
    with Image.open((await made(maker, Recipe.WAVEFORM, path, tmp_path))[Variant.WAVEFORM]) as image:
        heights = (np.asarray(image)[..., 3] > 0).sum(axis=0)
    assert heights[100:400].max() < 40 < 200 < heights[600:900].min()


@pytest.mark.parametrize("samples", [1, 2, 7])
async def test_a_sound_of_a_few_samples_has_a_waveform(
    maker: SandboxedRenditions, tmp_path: Path, samples: int
) -> None:
    path = tmp_path / "click.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\xff\x7f" * 2 * samples)
    with Image.open((await made(maker, Recipe.WAVEFORM, path, tmp_path))[Variant.WAVEFORM]) as image:
        assert (np.asarray(image)[..., 3] > 0).sum(axis=0).min() >= 1


@pytest.mark.parametrize("media_type", ["audio/mpeg", "audio/ogg", "audio/flac", "audio/mp4", "audio/aac"])
async def test_every_kind_of_sound_has_a_waveform(maker: SandboxedRenditions, tmp_path: Path, media_type: str) -> None:
    path = tmp_path / "sound.mp3"  # the bytes decide
    path.write_bytes(a_sound(media_type))
    assert Variant.WAVEFORM in await made(maker, Recipe.WAVEFORM, path, tmp_path)


async def test_an_hour_of_sound_has_a_waveform(maker: SandboxedRenditions, tmp_path: Path) -> None:
    path = tmp_path / "hour.wav"
    path.write_bytes(a_slow_wav(3600, 8000))
    assert Variant.WAVEFORM in await made(maker, Recipe.WAVEFORM, path, tmp_path)


def damaged(data: bytes, kind: str) -> bytes:
    box = data.index(b"mdat") + 4
    match kind:
        case "empty":
            return b""
        case "no video":
            return b"%PDF-1.7" + bytes(5000)
        case "cut in its header":
            return data[:20]
        case "without its packets":
            return data[:box] + bytes(len(data) - box)
        case _:
            return data[:box] + data[box:][::-1]


@pytest.mark.parametrize("kind", ["empty", "no video", "cut in its header", "without its packets", "of noise"])
@pytest.mark.parametrize("recipe", [Recipe.STILLS, Recipe.STORYBOARD])
async def test_a_broken_video_has_no_renditions_and_the_next_file_has(
    maker: SandboxedRenditions, video: Path, tmp_path: Path, kind: str, recipe: Recipe
) -> None:
    info, broken = probe(video), tmp_path / "broken.mp4"
    data = video.read_bytes()
    moov_first = data.index(b"moov") < data.index(b"mdat")
    assert moov_first
    broken.write_bytes(damaged(data, kind))
    with pytest.raises(NotMade, match="decode"):
        await maker.make(recipe, broken, info, tmp_path, tenant="studio")
    assert (await all_of(maker, Recipe.STILLS, video, tmp_path)).phash is not None


async def test_a_video_whose_first_frames_do_not_decode_is_shown_from_the_next_one_that_does(
    maker: SandboxedRenditions, video: Path, tmp_path: Path
) -> None:
    data = bytearray(video.read_bytes())
    with av.open(io.BytesIO(data)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        first = packets[0]
        assert first.pos is not None
        begin, end = first.pos, packets[16].pos
        assert end is not None
    data[begin:end] = b"\xff" * (end - begin)
    (tmp_path / "late.mp4").write_bytes(data)
    stills = await maker.make(Recipe.STILLS, tmp_path / "late.mp4", probe(video), tmp_path, tenant="studio")
    with Image.open({each.variant: file for each, file in stills.files}[Variant.POSTER]) as image:
        assert np.abs(colour_at(image, 160, 90) - COLOURS[1]).max() < 16


async def test_what_takes_too_long_is_given_up(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.new("RGB", (8192, 6100), COLOURS[1]).save(large)  # takes several times as long
    sandbox = Sandbox("renditions", size=1, limit_s=0.2)
    with pytest.raises(NotMade, match="processor time"):
        await SandboxedRenditions(sandbox).make(
            Recipe.STILLS, large, PictureInfo("image/png", 8192, 6100), tmp_path, tenant="studio"
        )
    assert sandbox.pids() == []


@pytest.mark.parametrize("data", [b"", b"GIF89a", a_picture()[:120], b"\x89PNG\r\n\x1a\n"], ids=len)
async def test_a_broken_picture_has_no_thumbnails(maker: SandboxedRenditions, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "picture"
    path.write_bytes(data)
    with pytest.raises(NotMade):
        await maker.make(Recipe.STILLS, path, PictureInfo("image/png", 9, 9), tmp_path, tenant="studio")


def bits_apart(one: int, other: int) -> int:
    return ((one ^ other) & (2**64 - 1)).bit_count()


async def test_similar_pictures_have_similar_hashes_and_others_have_not(
    maker: SandboxedRenditions, video: Path, tmp_path: Path
) -> None:
    with Image.open(GOLDEN / "cat-large.jpg") as opened:
        cat = opened.convert("RGB")
    small = cat.resize((cat.width // 5, cat.height // 5))
    compressed = io.BytesIO()
    cat.save(compressed, "JPEG", quality=25)
    original = perceptual_hash(cat)
    assert -(2**63) <= original < 2**63
    assert original == perceptual_hash(np.asarray(cat))
    for similar in (small, Image.open(compressed).convert("RGB"), cat.point(lambda value: value * 0.8)):
        assert bits_apart(original, perceptual_hash(similar)) <= 6
    for other in (cat.rotate(90), cat.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        assert bits_apart(original, perceptual_hash(other)) >= 18
    stored = await all_of(maker, Recipe.STILLS, GOLDEN / "cat-large.jpg", tmp_path)
    assert stored.phash is not None and bits_apart(original, stored.phash) <= 4


def test_each_variant_is_of_some_type_and_no_type_has_all() -> None:
    infos = (
        PictureInfo("image/png", 64, 64),
        VideoInfo("video/mp4", 64, 64, 80, 16.0, 5.0),
        AudioInfo("audio/wav", 1.0, 8000, 1),
    )
    for variant in Variant:
        assert 1 <= sum(recipe_of(variant, info) is not None for info in infos) < len(infos)


def test_times_are_written_for_people_and_for_players() -> None:
    assert (clock(0.04), clock(3725.96), clock(3725.9604, 3)) == ("0:00:00.0", "1:02:06.0", "01:02:05.960")
