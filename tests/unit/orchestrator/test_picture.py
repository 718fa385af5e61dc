"""Uploaded pictures: what is accepted and how it is normalised, what is refused and why."""

import asyncio
import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from services.errors import InvalidUpload
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.media.picture import normalise
from tests.support import pictures
from tests.support.normalised_pictures import refused, taken


def differ(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max())


# --- what is taken ---------------------------------------------------------------------------------------------------


async def test_a_png_keeps_every_pixel(tmp_path: Path) -> None:
    data = pictures.a_picture(64, 48)
    info, image = await taken(data, tmp_path)
    assert info == PictureInfo("image/png", 64, 48)
    assert differ(image, Image.open(io.BytesIO(data))) == 0


@pytest.mark.parametrize(("subsampling", "luminance"), [(0, (1, 1)), (1, (2, 1)), (2, (2, 2))])
async def test_a_jpeg_stays_a_jpeg_with_its_chroma_subsampling(
    tmp_path: Path, subsampling: int, luminance: tuple[int, int]
) -> None:
    data = pictures.a_picture(64, 48, "RGB", "JPEG", quality=95, subsampling=subsampling)
    info, image = await taken(data, tmp_path)
    assert info.media_type == "image/jpeg"
    assert [layer[1:3] for layer in image.layer] == [luminance, (1, 1), (1, 1)]  # type: ignore[attr-defined]
    assert differ(image, Image.open(io.BytesIO(pictures.a_picture(64, 48)))) < 12


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 90}, {"lossless": True, "exif": b"Exif\0\0MM\0*"}])
async def test_a_lossless_webp_becomes_a_png_and_a_lossy_one_a_jpeg(tmp_path: Path, options: dict[str, object]) -> None:
    info, image = await taken(pictures.a_picture(64, 48, "RGB", "WEBP", **options), tmp_path)
    assert info == PictureInfo("image/png" if "lossless" in options else "image/jpeg", 64, 48)
    assert differ(image, Image.open(io.BytesIO(pictures.a_picture(64, 48)))) < 40


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_picture_is_rotated_as_its_metadata_say(tmp_path: Path, orientation: int, form: str) -> None:
    _, image = await taken(pictures.turned(orientation, form), tmp_path)
    assert image.size == (64, 48)
    for place in ((8, 8), (56, 8), (8, 40), (56, 40)):
        assert np.allclose(image.getpixel(place), pictures.quadrants().getpixel(place), atol=40)


async def test_metadata_are_removed(tmp_path: Path) -> None:
    for form in ("JPEG", "PNG", "WEBP"):
        _, image = await taken(pictures.turned(6, form), tmp_path)
        assert not image.getexif()
        assert b"forgotten" not in (tmp_path / "out").read_bytes()
    await taken(pictures.a_picture(form="JPEG", comment=b"whoever reads this", icc_profile=b"p" * 200), tmp_path)
    assert b"whoever" not in (tmp_path / "out").read_bytes()
    assert b"ICC_PROFILE" not in (tmp_path / "out").read_bytes()


async def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    see_through = Image.new("RGBA", (64, 48), (255, 0, 0, 0))
    see_through.paste((0, 0, 255, 255), (0, 0, 32, 48))
    palette = see_through.convert("P")
    grey = Image.new("LA", (64, 48), (0, 0))
    grey.paste((7, 255), (0, 0, 32, 48))
    for data, left in (
        (pictures.encoded(see_through, "PNG"), (0, 0, 255)),
        (pictures.encoded(see_through, "WEBP", lossless=True), (0, 0, 255)),
        (pictures.encoded(grey, "PNG"), (7, 7, 7)),
        (pictures.encoded(palette, "PNG", transparency=palette.getpixel((40, 0))), (0, 0, 255)),
        (pictures.encoded(see_through.convert("RGB"), "PNG", transparency=(255, 0, 0)), (0, 0, 255)),
    ):
        _, image = await taken(data, tmp_path)
        assert (image.getpixel((5, 5)), image.getpixel((40, 5))) == (left, (255, 255, 255))


async def test_half_transparent_pixels_are_mixed_with_white(tmp_path: Path) -> None:
    _, image = await taken(pictures.encoded(Image.new("RGBA", (64, 48), (0, 0, 0, 128)), "PNG"), tmp_path)
    assert image.getpixel((5, 5)) == (127, 127, 127)


async def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 64, dtype=np.uint16)
    row = b"".join(struct.pack(">H", value) for value in grey)
    _, image = await taken(pictures.a_png(64, 48, bits=16, row=row), tmp_path)
    assert np.abs(np.asarray(image)[0, :, 0] - grey / 257).max() < 1
    row = b"".join(struct.pack(">HHH", value, 0, 65535) for value in grey)
    _, image = await taken(pictures.a_png(64, 48, bits=16, colour=2, row=row), tmp_path)
    assert np.abs(np.asarray(image)[0, :, 0] - grey / 257).max() < 1
    assert image.getpixel((9, 9))[1:] == (0, 255)  # type: ignore[index]


@pytest.mark.parametrize("mode", ["1", "L", "P"])
async def test_every_kind_of_png_becomes_rgb(tmp_path: Path, mode: str) -> None:
    data = pictures.a_picture(64, 48, mode)
    _, image = await taken(data, tmp_path)
    assert differ(image, Image.open(io.BytesIO(data)).convert("RGB")) == 0


async def test_cmyk_inks_are_read_in_the_right_sense(tmp_path: Path) -> None:
    inks = Image.new("CMYK", (64, 48), (0, 255, 255, 0))  # red
    adobe = pictures.encoded(inks, "JPEG", quality=95)
    _, image = await taken(adobe, tmp_path)
    assert np.allclose(image.getpixel((5, 5)), (255, 0, 0), atol=6)
    # Without Adobe's note the inks count as they are stored: Pillow has stored them inverted.
    _, image = await taken(pictures.without_adobe(adobe), tmp_path)
    assert np.allclose(image.getpixel((5, 5)), (0, 0, 0), atol=6)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
async def test_a_colour_profile_is_applied_and_dropped(tmp_path: Path, form: str, mode: str) -> None:
    red = Image.new("RGB" if form == "JPEG" else mode, (64, 48), "red")
    profile = pictures.a_profile_that_swaps_red_and_green()
    _, image = await taken(pictures.encoded(red, form, icc_profile=profile), tmp_path)
    assert np.allclose(image.getpixel((5, 5)), (0, 255, 0), atol=6)
    assert "icc_profile" not in image.info


async def test_a_palette_picture_gets_its_colour_profile_and_white_for_transparency(tmp_path: Path) -> None:
    flag = Image.new("P", (64, 48), 0)
    flag.putpalette([255, 0, 0, 0, 0, 255])
    flag.paste(1, (32, 0, 64, 48))
    profile = pictures.a_profile_that_swaps_red_and_green()
    _, image = await taken(pictures.encoded(flag, "PNG", icc_profile=profile, transparency=1), tmp_path)
    assert np.allclose(image.getpixel((5, 5)), (0, 255, 0), atol=6)
    assert image.getpixel((40, 5)) == (255, 255, 255)


@pytest.mark.parametrize("profile", [b"p" * 200, b"\0" * 4, pictures.a_profile_that_swaps_red_and_green()[:300]])
async def test_a_picture_with_a_broken_colour_profile_is_accepted(tmp_path: Path, profile: bytes) -> None:
    for form in ("JPEG", "PNG", "WEBP"):
        for mode in ("RGB", "L"):
            red = Image.new(mode, (64, 48), "red")
            _, image = await taken(pictures.encoded(red, form, icc_profile=profile), tmp_path)
            assert np.allclose(image.getpixel((5, 5)), red.convert("RGB").getpixel((5, 5)), atol=6)


async def test_the_second_picture_that_a_phone_appends_is_dropped(tmp_path: Path) -> None:
    info, _ = await taken(pictures.with_second_picture(pictures.a_picture(form="JPEG")), tmp_path)
    assert info == PictureInfo("image/jpeg", 64, 48)
    size = (tmp_path / "out").stat().st_size
    await taken(pictures.a_picture(form="JPEG"), tmp_path)
    assert (tmp_path / "out").stat().st_size == size


async def test_a_picture_with_a_broken_exif_is_accepted(tmp_path: Path) -> None:
    for exif in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 30):
        info, _ = await taken(pictures.a_picture(form="JPEG", exif=exif), tmp_path)
        assert info.width == 64


async def test_the_name_of_a_file_has_no_effect(tmp_path: Path) -> None:
    (tmp_path / "holiday.gif").write_bytes(pictures.a_picture(form="JPEG"))
    info = await normalise(tmp_path / "holiday.gif", tmp_path / "out.txt", field="picture")
    assert info.media_type == "image/jpeg"


async def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old" * 100_000)
    await taken(pictures.a_picture(), tmp_path)


# --- what is refused -------------------------------------------------------------------------------------------------

PNG = pictures.a_picture(64, 48)
JPEG = pictures.a_picture(64, 48, "RGB", "JPEG")
WEBP = pictures.a_picture(64, 48, "RGB", "WEBP")


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (b"", "PICTURE_FORMAT", "is empty"),
        (b"just some text, no picture at all", "PICTURE_FORMAT", "PNG, JPEG, WebP, HEIC or AVIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PICTURE_FORMAT", "PNG, JPEG, WebP, HEIC or AVIF"),
        (pictures.a_picture(form="GIF"), "PICTURE_FORMAT", "is a GIF picture"),
        (pictures.a_picture(form="BMP"), "PICTURE_FORMAT", "is a BMP picture"),
        (pictures.a_picture(form="TIFF"), "PICTURE_FORMAT", "is a TIFF picture"),
        (pictures.a_zip(), "PICTURE_FORMAT", "is a ZIP file"),
        (b"\0\0\0\x14ftypheic" + bytes(8), "PICTURE_TRUNCATED", "the file or its upload was cut short"),
        (b"\0\0\0\x10ftypmp42isom", "PICTURE_FORMAT", "is an MP4 video"),
        (b"\0\0\0\x10ftypqt  qt  ", "PICTURE_FORMAT", "is a QuickTime video"),
        (b"ID3" + bytes(40), "PICTURE_FORMAT", "is an MP3 sound"),
        (PNG[:8] + pictures.a_chunk(b"CgBI", bytes(4)) + PNG[8:], "PICTURE_FORMAT", "for Apple's programs"),
        (pictures.animated("GIF"), "PICTURE_FORMAT", "is a GIF picture"),
        (pictures.animated("PNG"), "PICTURE_ANIMATED", "the limit is one frame"),
        (pictures.animated("WEBP"), "PICTURE_ANIMATED", "the limit is one frame"),
        (pictures.a_png(8193, 4000), "PICTURE_TOO_LARGE", "8193 x 4000 pixels; the limit is 8192 pixels a side"),
        (pictures.a_png(8000, 8000), "PICTURE_TOO_LARGE", "64.0 megapixels; the limit is 50 megapixels"),
        (pictures.a_png(1, 1), "PICTURE_TOO_SMALL", "is 1 x 1 pixels; the least is 32 pixels a side"),
        (pictures.a_png(0, 0), "PICTURE_TOO_SMALL", "0 x 0"),
        (pictures.a_png(64, 31), "PICTURE_TOO_SMALL", "64 x 31"),
        (pictures.a_png(500, 100), "PICTURE_ASPECT_RATIO", "a ratio of 5.00:1; the limit is 4:1 either way"),
        (pictures.a_png(100, 500), "PICTURE_ASPECT_RATIO", "a ratio of 5.00:1"),
        (
            pictures.a_png(64, 48, extra=[pictures.a_chunk(b"IDAT", b"no zlib")]),
            "PICTURE_MALFORMED",
            "cannot be decoded",
        ),
        (PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:], "PICTURE_MALFORMED", "the checksum of a"),
        (pictures.a_png(64, 48, extra=[pictures.a_chunk(b"EVIL", b"")]), "PICTURE_MALFORMED", "unknown critical chunk"),
        (JPEG[:2] + JPEG[-2:], "PICTURE_MALFORMED", "no picture data"),
        (pictures.of_many_scans(70), "PICTURE_TOO_COMPLEX", "64 scans"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_an_invalid_picture_is_refused(tmp_path: Path, data: bytes, reason: str, says: str) -> None:
    error = await refused(data, tmp_path)
    assert error.reason == reason
    assert says in error.violations[0].description


async def test_a_picture_at_the_limits_is_accepted(tmp_path: Path) -> None:
    for width, height in ((8192, 2048), (2048, 8192), (32, 32), (32, 128)):
        info, _ = await taken(pictures.a_png(width, height), tmp_path)
        assert (info.width, info.height) == (width, height)


async def test_a_file_may_have_ten_megabytes_and_no_more(tmp_path: Path) -> None:
    room = 10_000_000 - len(pictures.a_png(64, 48)) - 12
    await taken(pictures.a_png(64, 48, extra=[pictures.a_chunk(b"raNd", os.urandom(room))]), tmp_path)
    (tmp_path / "out").unlink()
    data = pictures.a_png(64, 48, extra=[pictures.a_chunk(b"raNd", os.urandom(room + 1))])
    error = await refused(data, tmp_path)
    assert error.reason == "PICTURE_FILE_TOO_LARGE"
    assert "is 10,000,001 bytes; the limit is 10,000,000 bytes" in error.message


@pytest.mark.parametrize("whole", [PNG, JPEG, WEBP, pictures.a_picture(form="JPEG", progressive=True)])
async def test_a_truncated_file_is_never_accepted(tmp_path: Path, whole: bytes) -> None:
    last = len(whole) - (3 if whole.startswith(b"\xff\xd8") else 1)  # a JPEG is complete without its end marker
    for length in [*range(20, last, max(1, last // 25)), last]:
        error = await refused(whole[:length], tmp_path)
        assert error.reason in ("PICTURE_TRUNCATED", "PICTURE_MALFORMED")
    assert error.reason == "PICTURE_TRUNCATED"


async def test_a_header_with_a_false_size_is_not_trusted(tmp_path: Path) -> None:
    second_header = pictures.a_chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 6, 0, 0, 0))
    data = pictures.a_png(64, 48, extra=[second_header])
    assert (await refused(data, tmp_path)).reason == "PICTURE_MALFORMED"
    canvas = pictures.a_picture(64, 48, "RGB", "WEBP", exif=b"Exif\0\0MM\0*")
    at = canvas.index(b"VP8X") + 12
    data = canvas[:at] + (999).to_bytes(3, "little") + canvas[at + 3 :]
    assert (await refused(data, tmp_path)).reason == "PICTURE_MALFORMED"
    # Rows beyond the height in the header are not read.
    info, _ = await taken(pictures.a_png(64, 48, rows=5000), tmp_path)
    assert info.height == 48


SEEDS = [
    PNG,
    JPEG,
    WEBP,
    pictures.turned(6),
    pictures.a_picture(form="JPEG", progressive=True),
    pictures.a_picture(form="JPEG", icc_profile=pictures.a_profile_that_swaps_red_and_green()),
    pictures.turned(6, "AVIF"),
    (Path(__file__).resolve().parents[2] / "golden" / "quadrants-turned.heic").read_bytes(),
]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(SEEDS), st.data())
def test_a_mutated_picture_is_decoded_or_refused(tmp_path: Path, seed: bytes, data: st.DataObject) -> None:
    broken = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del broken[data.draw(st.integers(1, len(broken))) :]
    (tmp_path / "in").write_bytes(broken)
    try:
        info = asyncio.run(normalise(tmp_path / "in", tmp_path / "out", field="picture"))
    except InvalidUpload as error:
        assert error.reason.startswith("PICTURE_")
        # The library for HEIC sometimes crashes. Because of the sandbox only the child process ends.
        assert "crashes" not in error.message or seed[4:8] == b"ftyp"
    else:
        assert info.width >= 32
