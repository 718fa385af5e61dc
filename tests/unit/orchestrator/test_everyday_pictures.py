"""Pictures as phones, cameras and programs write them: unusual ones are accepted, incomplete ones are refused."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.orchestrator.domain.media_info import PictureInfo
from tests.support import pictures
from tests.support.normalised_pictures import refused, taken

JPEG = pictures.a_picture(64, 48, "RGB", "JPEG", quality=95)
PROGRESSIVE = pictures.a_picture(64, 48, "RGB", "JPEG", quality=95, progressive=True)
PNG = pictures.a_picture(64, 48)
WEBP = pictures.a_picture(64, 48, "RGB", "WEBP", quality=95)


def differ(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())


# --- what phones make ------------------------------------------------------------------------------------------------

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
HEIC, TURNED_HEIC = ((GOLDEN / name).read_bytes() for name in ("quadrants.heic", "quadrants-turned.heic"))
AVIF = pictures.encoded(pictures.quadrants(), "AVIF", quality=95)
TURNED_AVIF = pictures.turned(6, "AVIF")


@pytest.mark.parametrize(
    "data", [HEIC, TURNED_HEIC, AVIF, TURNED_AVIF], ids=["HEIC", "turned HEIC", "AVIF", "turned AVIF"]
)
async def test_heic_and_avif_become_jpegs_the_right_way_up(tmp_path: Path, data: bytes) -> None:
    info, image = await taken(data, tmp_path)
    assert info == PictureInfo("image/jpeg", 64, 48)
    for place in ((8, 8), (56, 8), (8, 40), (56, 40)):
        assert np.allclose(image.getpixel(place), pictures.quadrants().getpixel(place), atol=40)


async def test_a_transparent_avif_becomes_white(tmp_path: Path) -> None:
    see_through = Image.new("RGBA", (64, 48), (255, 0, 0, 0))
    see_through.paste((0, 0, 255, 255), (0, 0, 32, 48))
    _, image = await taken(pictures.encoded(see_through, "AVIF", quality=95), tmp_path)
    assert np.allclose(image.getpixel((5, 5)), (0, 0, 255), atol=8)
    assert np.allclose(image.getpixel((60, 5)), (255, 255, 255), atol=8)


@pytest.mark.parametrize("data", [HEIC, AVIF], ids=["HEIC", "AVIF"])
@pytest.mark.parametrize(
    "trailer", [pictures.a_box(b"mpvd", pictures.an_mp4()), bytes(100), b"\0\0\x10\0mpvd", b"SEFT", b"\0"]
)
async def test_bytes_after_a_heic_or_avif_picture_are_dropped(tmp_path: Path, data: bytes, trailer: bytes) -> None:
    _, alone = await taken(data, tmp_path)
    _, image = await taken(data + trailer, tmp_path)
    assert differ(image, alone) == 0


@pytest.mark.parametrize("data", [HEIC, AVIF], ids=["HEIC", "AVIF"])
async def test_heic_and_avif_that_are_cut_short_are_refused(tmp_path: Path, data: bytes) -> None:
    for length in range(20, len(data), max(1, len(data) // 25)):
        assert (await refused(data[:length], tmp_path)).reason in ("PICTURE_TRUNCATED", "PICTURE_MALFORMED")
    assert (await refused(data[:-1], tmp_path)).reason == "PICTURE_TRUNCATED"


async def test_an_animated_or_too_large_avif_is_refused(tmp_path: Path) -> None:
    assert (await refused(pictures.animated("AVIF"), tmp_path)).reason == "PICTURE_ANIMATED"
    wide = pictures.encoded(Image.new("RGB", (8193, 32)), "AVIF", speed=10)
    assert (await refused(wide, tmp_path)).reason == "PICTURE_TOO_LARGE"


# --- bytes behind the picture ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trailer", pictures.TRAILERS)
@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, PNG, WEBP], ids=["JPEG", "progressive", "PNG", "WebP"])
async def test_bytes_behind_a_picture_are_dropped(tmp_path: Path, data: bytes, trailer: str) -> None:
    _, alone = await taken(data, tmp_path)
    clean = (tmp_path / "out").read_bytes()
    info, image = await taken(data + pictures.TRAILERS[trailer], tmp_path)
    assert (info.width, info.height) == (64, 48)
    assert differ(image, alone) == 0
    assert (tmp_path / "out").read_bytes() == clean


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE], ids=["baseline", "progressive"])
@pytest.mark.parametrize("trailer", ["", *pictures.TRAILERS])
async def test_a_jpeg_without_its_end_is_taken_when_its_data_are_complete(
    tmp_path: Path, data: bytes, trailer: str
) -> None:
    _, alone = await taken(data, tmp_path)
    behind = pictures.TRAILERS[trailer] if trailer else b""
    _, image = await taken(pictures.without_end(data) + behind, tmp_path)
    assert differ(image, alone) == 0


async def test_half_an_end_marker_does_not_count(tmp_path: Path) -> None:
    info, _ = await taken(JPEG[:-1], tmp_path)
    assert info.width == 64


async def test_garbage_between_the_segments_of_a_jpeg_is_skipped(tmp_path: Path) -> None:
    _, alone = await taken(JPEG, tmp_path)
    _, image = await taken(pictures.with_garbage_between(JPEG), tmp_path)
    assert differ(image, alone) == 0


@pytest.mark.parametrize("data", [pictures.one_frame_apng(), pictures.one_frame_webp()], ids=["APNG", "WebP"])
async def test_an_animation_with_one_frame_is_a_picture(tmp_path: Path, data: bytes) -> None:
    _, image = await taken(data, tmp_path)
    assert differ(image, Image.open(await _file(tmp_path, PNG))) < 40


async def _file(folder: Path, data: bytes) -> Path:
    path = folder / "reference"
    path.write_bytes(data)
    return path


async def test_an_apng_that_claims_one_frame_but_has_more_shows_its_first(tmp_path: Path) -> None:
    moving = pictures.animated("PNG")
    at = moving.index(b"acTL") + 4
    body = struct.pack(">II", 1, 0)
    still = moving[: at - 8] + pictures.a_chunk(b"acTL", body) + moving[at + 12 :]
    info, _ = await taken(still, tmp_path)
    assert info == PictureInfo("image/png", 64, 48)


# --- pictures that are not all there ---------------------------------------------------------------------------------


@pytest.mark.parametrize("progressive", [False, True])
async def test_a_jpeg_with_data_for_less_than_its_size_is_truncated(tmp_path: Path, progressive: bool) -> None:
    data = pictures.a_picture(64, 64, "RGB", "JPEG", progressive=progressive)
    for width, height in ((8192, 6100), (64, 72), (64, 128), (128, 64)):
        error = await refused(pictures.of_another_size(data, width, height), tmp_path)
        assert error.reason == "PICTURE_TRUNCATED", (width, height)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
async def test_a_jpeg_without_part_of_its_data_is_truncated(tmp_path: Path, options: dict[str, object]) -> None:
    data = pictures.encoded(pictures.noisy(256, 256), "JPEG", quality=90, **options)
    for end in (b"\xff\xd9", b"", pictures.TRAILERS["samsung"]):
        error = await refused(data[: len(data) * 2 // 3] + end, tmp_path)
        assert error.reason in ("PICTURE_TRUNCATED", "PICTURE_MALFORMED")
    error = await refused(data[: len(data) * 2 // 3] + b"\xff\xd9", tmp_path)
    assert error.reason == "PICTURE_TRUNCATED"


async def test_a_progressive_jpeg_cut_between_two_scans_is_truncated(tmp_path: Path) -> None:
    for count in (1, 3, 6):
        error = await refused(pictures.of_fewer_scans(PROGRESSIVE, count), tmp_path)
        assert error.reason == "PICTURE_TRUNCATED"


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 8])
async def test_a_png_with_fewer_rows_than_it_says_is_truncated(tmp_path: Path, interlaced: bool, bits: int) -> None:
    data = pictures.a_png(64, 48, bits=bits, rows=20)
    if interlaced:
        header = struct.pack(">IIBBBBB", 64, 48, bits, 0, 0, 0, 1)
        data = data[:8] + pictures.a_chunk(b"IHDR", header) + data[33:]
    assert (await refused(data, tmp_path)).reason == "PICTURE_TRUNCATED"


# --- transparency ----------------------------------------------------------------------------------------------------


async def test_the_transparent_colour_of_a_16_bit_grey_picture_is_compared_with_all_its_bits(tmp_path: Path) -> None:
    values = [0x1234] * 32 + [0x1235] * 32
    _, image = await taken(pictures.a_grey16(values, 0x1234), tmp_path)
    assert (image.getpixel((5, 5)), image.getpixel((40, 5))) == ((255,) * 3, (0x12,) * 3)
    _, image = await taken(pictures.a_grey16(values, 0x12), tmp_path)
    assert (image.getpixel((5, 5)), image.getpixel((40, 5))) == ((0x12,) * 3, (0x12,) * 3)


async def test_the_transparent_colour_of_a_16_bit_rgb_picture_is_compared_with_all_its_bits(tmp_path: Path) -> None:
    values = [(0x1234, 0xABCD, 0xFFFF)] * 32 + [(0x1234, 0xABCE, 0xFFFF)] * 32
    _, image = await taken(pictures.an_rgb16(values, (0x1234, 0xABCD, 0xFFFF)), tmp_path)
    assert (image.getpixel((5, 5)), image.getpixel((40, 5))) == ((255,) * 3, (0x12, 0xAB, 0xFF))
    _, image = await taken(pictures.an_rgb16(values, (0x12, 0xAB, 0xFF)), tmp_path)
    assert image.getpixel((5, 5)) == (0x12, 0xAB, 0xFF)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
async def test_the_transparent_value_of_a_grey_picture_counts_at_its_own_depth(tmp_path: Path, bits: int) -> None:
    most = (1 << bits) - 1
    per_byte = 8 // bits
    left = sum(most << (bits * place) for place in range(per_byte))
    row = bytes([left] * (32 // per_byte) + [0] * (32 // per_byte))
    for key, at_left, at_right in ((most, 255, 0), (0, 255, 255)):
        chunk = pictures.a_chunk(b"tRNS", struct.pack(">H", key))
        _, image = await taken(pictures.a_png(64, 48, bits=bits, row=row, extra=[chunk]), tmp_path)
        assert (image.getpixel((5, 5)), image.getpixel((40, 5))) == ((at_left,) * 3, (at_right,) * 3)
    if bits in (2, 4):  # a value between, which 8-bit pixels show scaled
        row = bytes([sum(1 << (bits * place) for place in range(per_byte))] * (64 // per_byte))
        chunk = pictures.a_chunk(b"tRNS", struct.pack(">H", 1))
        _, image = await taken(pictures.a_png(64, 48, bits=bits, row=row, extra=[chunk]), tmp_path)
        assert image.getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(("colour", "samples"), [(4, (0x8000, 0x8000)), (6, (0x8000, 0, 0, 0x8000))])
async def test_16_bit_alpha_is_mixed_with_white(tmp_path: Path, colour: int, samples: tuple[int, ...]) -> None:
    row = struct.pack(f">{len(samples)}H", *samples) * 64
    _, image = await taken(pictures.a_png(64, 48, bits=16, colour=colour, row=row), tmp_path)
    expected = (191, 191, 191) if colour == 4 else (191, 127, 127)
    assert np.allclose(image.getpixel((5, 5)), expected, atol=1)


# --- size ------------------------------------------------------------------------------------------------------------


async def test_a_lossy_picture_stays_lossy_and_about_as_large(tmp_path: Path) -> None:
    photo = pictures.noisy(600, 400)
    for form, quality, subsampling in (("WEBP", 80, None), ("JPEG", 75, 2), ("JPEG", 92, 0)):
        options = {} if subsampling is None else {"subsampling": subsampling}
        data = pictures.encoded(photo, form, quality=quality, **options)
        info, image = await taken(data, tmp_path)
        assert info.media_type == "image/jpeg"
        assert (tmp_path / "out").stat().st_size < 3 * len(data)
        if form == "JPEG":
            assert (tmp_path / "out").stat().st_size < 1.2 * len(data)
        small = Image.open(await _file(tmp_path, data)).convert("RGB").resize((60, 40))
        assert differ(image.resize((60, 40)), small) < 12


@pytest.mark.parametrize(
    "options", [{"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"keep_rgb": True}], ids=str
)
async def test_a_jpeg_keeps_its_appearance(tmp_path: Path, options: dict[str, object]) -> None:
    photo = pictures.noisy(160, 120).resize((320, 240), Image.Resampling.BICUBIC)
    data = pictures.encoded(photo, "JPEG", quality=85, **options)
    _, image = await taken(data, tmp_path)
    before = np.asarray(Image.open(await _file(tmp_path, data)), np.int16)
    assert np.abs(np.asarray(image, np.int16) - before).mean() < 3


async def test_a_lossless_webp_keeps_every_pixel(tmp_path: Path) -> None:
    photo = pictures.noisy(64, 48)
    info, image = await taken(pictures.encoded(photo, "WEBP", lossless=True), tmp_path)
    assert info.media_type == "image/png"
    assert differ(image, photo) == 0


async def test_a_lossy_picture_of_the_largest_file_is_still_kept_within_it(tmp_path: Path) -> None:
    data = pictures.encoded(pictures.noisy(4000, 3000), "WEBP", quality=75, method=0)
    assert 4_000_000 < len(data) < 10_000_000
    await taken(data, tmp_path)
    assert (tmp_path / "out").stat().st_size <= 10_000_000
