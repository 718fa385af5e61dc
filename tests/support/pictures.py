"""Pictures made by hand, most of them hostile: each docstring says what is wrong with the picture."""

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

from PIL import ExifTags, Image, ImageCms

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def a_chunk(name: bytes, body: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def a_png(
    width: int,
    height: int,
    *,
    bits: int = 1,
    colour: int = 0,
    row: bytes | None = None,
    rows: int | None = None,
    extra: Sequence[bytes] = (),
) -> bytes:
    """A PNG of one repeated row: huge pictures in a few kilobytes. `rows` may differ from the header."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\0" * ((width * samples * bits + 7) // 8) if row is None else row
    packer = zlib.compressobj(9)
    packed = [packer.compress((b"\0" + row) * 100) for _ in range((height if rows is None else rows) // 100)]
    packed.append(packer.compress((b"\0" + row) * ((height if rows is None else rows) % 100)))
    packed.append(packer.flush())
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [a_chunk(b"IHDR", header), *extra, a_chunk(b"IDAT", b"".join(packed)), a_chunk(b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(chunks)


def a_text_bomb(megabytes: int = 200) -> bytes:
    """A zTXt chunk that unpacks to this much."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    return a_chunk(b"zTXt", b"Comment\0\0" + packed)


def a_profile_bomb(megabytes: int = 200) -> bytes:
    """An iCCP chunk that unpacks to this much."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    return a_chunk(b"iCCP", b"icc\0\0" + packed)


def a_picture(width: int = 64, height: int = 48, mode: str = "RGB", form: str = "PNG", **options: Any) -> bytes:
    """A correct picture: a slope in both directions, encoded by Pillow."""
    slope = Image.linear_gradient("L").resize((width, height))
    side = Image.linear_gradient("L").rotate(90).resize((width, height))
    image = Image.merge("RGB", (slope, side, Image.new("L", (width, height), 90))).convert(mode)
    return encoded(image, form, **options)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """What Pillow makes of it."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def frames(count: int = 3) -> list[Image.Image]:
    """Pictures that differ, for what moves."""
    return [Image.new("RGB", (64, 48), (60 * number, 20, 20)) for number in range(count)]


def animated(form: str) -> bytes:
    """Moves: GIF, PNG or WEBP."""
    first, *rest = frames()
    return encoded(first, form, save_all=True, append_images=rest)


def a_zip() -> bytes:
    """A small archive, to be appended to a picture."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("evil.txt", "x" * 100)
    return out.getvalue()


def quadrants() -> Image.Image:
    """64 x 48: red, green, blue, white, from the upper left to the lower right, so that turns and flips show."""
    image = Image.new("RGB", (64, 48))
    for place, colour in (((0, 0), "red"), ((32, 0), "lime"), ((0, 24), "blue"), ((32, 24), "white")):
        image.paste(colour, (*place, place[0] + 32, place[1] + 24))
    return image


def turned(orientation: int, form: str = "JPEG") -> bytes:
    """`quadrants`, stored so that this EXIF orientation puts it the right way up."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = quadrants()
    stored = image.transpose(undo[orientation]) if orientation in undo else image
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "A camera that should be forgotten"
    options = {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    return encoded(stored, form, exif=exif, **options)


def jpeg_segment(marker: int, body: bytes) -> bytes:
    """One JPEG segment."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def without_adobe(jpeg: bytes) -> bytes:
    """The same file without Adobe's note that its inks are inverted."""
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big") :]


def with_second_picture(jpeg: bytes) -> bytes:
    """As phones write them: a segment that announces more pictures, and another one behind the first."""
    return jpeg[:2] + jpeg_segment(0xE2, b"MPF\0" + bytes(40)) + jpeg[2:] + a_picture(32, 32, "L", "JPEG")


def of_many_scans(count: int) -> bytes:
    """A progressive JPEG that needs this many passes over 6000 x 6000 pixels."""
    plain = a_picture(6000, 6000, "L", "JPEG", progressive=True)
    first, last = plain.index(b"\xff\xda"), plain.rindex(b"\xff\xda")
    end = plain.index(b"\xff\xc4", first)
    return plain[:end] + plain[first:end] * count + plain[end:last] + plain[last:]


def a_profile_that_swaps_red_and_green() -> bytes:
    """A colour profile whose effect cannot be overlooked: sRGB with two primaries exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = profile[:400].replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")
    return (tags + profile[400:]).replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be"))


# --- what cameras, phones and programs append to a picture, or leave out --------------------------------------------


def an_mp4() -> bytes:
    """The first bytes of a video, as motion photos carry one."""
    return struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mp42", 0, b"isom", b"mp42") + a_box(b"mdat", bytes(5000))


def a_box(name: bytes, *parts: bytes) -> bytes:
    """One box of MP4, HEIC or AVIF."""
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, name) + body


TRAILERS = {
    "samsung": b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data1700000000000SEFHj\0\0\0\x01\0\0\0SEFT",
    "google motion photo": an_mp4(),
    "zeros": bytes(4096),
    "one zero": b"\0",
    "line end": b"\r\n",
    "a zip": a_zip(),
    "markers": b"\xff\xd8\xff\xe0\xff\xda\xff\xd9" * 20,
    "text": b'\nvivo{"com.vivo.gallery":"1.0"}',
}


def without_end(jpeg: bytes) -> bytes:
    """A JPEG whose data are complete and whose end marker is missing."""
    assert jpeg.endswith(b"\xff\xd9")
    return jpeg[:-2]


def with_garbage_between(jpeg: bytes) -> bytes:
    """A JPEG with extra bytes before its tables, as some scanners write it."""
    at = jpeg.index(b"\xff\xdb")
    return jpeg[:at] + b"\0\0garbage\0" + jpeg[at:]


def of_another_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG with a header that claims another size than its data have."""
    at = next(at for marker in (b"\xff\xc0", b"\xff\xc2") if (at := jpeg.find(marker)) >= 0)
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def of_fewer_scans(progressive: bytes, count: int) -> bytes:
    """A progressive JPEG cut exactly between two of its scans."""
    at = 0
    for _ in range(count + 1):
        at = progressive.index(b"\xff\xda", at + 1)
    tables = progressive.rfind(b"\xff\xc4", 0, at)
    return progressive[: min(at, tables) if tables > progressive.rfind(b"\xff\xda", 0, at) else at]


def one_frame_apng() -> bytes:
    """An APNG of a single frame."""
    png = a_picture(64, 48)
    control = a_chunk(b"acTL", struct.pack(">II", 1, 0))
    frame = a_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 64, 48, 0, 0, 1, 10, 0, 0))
    return png[:33] + control + frame + png[33:]


def a_riff(form: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A RIFF file: WebP or WAV."""
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + form + body


def one_frame_webp(width: int = 64, height: int = 48) -> bytes:
    """A WebP whose header says that it is animated, with one frame."""
    frame = a_picture(width, height, "RGB", "WEBP", quality=90)
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    header = bytes(6) + size + bytes(4)
    return a_riff(b"WEBP", (b"VP8X", b"\2\0\0\0" + size), (b"ANIM", bytes(6)), (b"ANMF", header + frame[12:]))


def a_grey16(values: Sequence[int], key: int | None, height: int = 48) -> bytes:
    """A 16-bit grey PNG, and the value that is transparent."""
    extra = [] if key is None else [a_chunk(b"tRNS", struct.pack(">H", key))]
    row = struct.pack(f">{len(values)}H", *values)
    return a_png(len(values), height, bits=16, colour=0, row=row, extra=extra)


def an_rgb16(values: Sequence[tuple[int, int, int]], key: tuple[int, int, int], height: int = 48) -> bytes:
    """A 16-bit RGB PNG, and the colour that is transparent."""
    row = b"".join(struct.pack(">HHH", *value) for value in values)
    return a_png(len(values), height, bits=16, colour=2, row=row, extra=[a_chunk(b"tRNS", struct.pack(">HHH", *key))])


def noisy(width: int, height: int, seed: int = 1) -> Image.Image:
    """A picture that compresses badly, as photographs do."""
    import numpy as np

    pixels = np.random.default_rng(seed).normal(128, 40, (height, width, 3)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels)
