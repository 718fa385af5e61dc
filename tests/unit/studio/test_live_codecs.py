"""The names of codecs in playlists."""

import struct

import pytest

from services.studio.live import codec
from services.studio.live.boxes import Box, UnplayableError


def entry(kind: str, skip: int, configuration: str, body: bytes) -> tuple[bytes, Box]:
    inner = struct.pack(">I", len(body) + 8) + configuration.encode() + body
    data = struct.pack(">I", 8 + skip + len(inner)) + kind.encode() + bytes(skip) + inner
    return data, Box(kind.encode(), 0, 8, len(data))


def test_h264_is_named_by_profile_constraints_and_level() -> None:
    assert codec.name_of(*entry("avc1", 78, "avcC", bytes.fromhex("0164001fffe1"))) == "avc1.64001F"


def test_h265_is_named_as_annex_e_says() -> None:
    main = bytes.fromhex("01 01 60000000 90 0000000000 5d") + bytes(10)
    assert codec.name_of(*entry("hvc1", 78, "hvcC", main)) == "hvc1.1.6.L93.90"
    main10 = bytes.fromhex("01 22 20000000 b00000000000 99") + bytes(10)
    assert codec.name_of(*entry("hev1", 78, "hvcC", main10)) == "hev1.2.4.H153.B0"


def test_aac_is_named_by_its_object_type() -> None:
    specific = bytes.fromhex("0580808002 1190")
    decoder = bytes.fromhex("04 80808014 40 15 000000 00000000 00000000") + specific
    described = bytes(4) + bytes.fromhex("03 80808019 0001 00") + decoder
    assert codec.name_of(*entry("mp4a", 28, "esds", described)) == "mp4a.40.2"


def test_a_codec_without_a_name_here_has_none() -> None:
    assert codec.name_of(*entry("zzzz", 78, "zzzC", b"")) == ""


@pytest.mark.parametrize(
    ("kind", "skip", "configuration", "body"),
    [
        ("avc1", 78, "avcC", b"\x01\x64"),
        ("avc1", 10, "avcC", bytes(8)),
        ("hvc1", 78, "hvcC", bytes(12)),
        ("mp4a", 28, "esds", b""),
        ("mp4a", 28, "esds", bytes(4) + b"\x03\xff\xff\xff\xff"),
        ("mp4a", 28, "esds", bytes(4) + b"\x03\x03\x00\x01\xe0"),
        ("mp4a", 28, "esds", bytes(4) + b"\x03\x10\x00\x01\x00\x04\x01\x40"),
    ],
)
def test_a_configuration_that_is_cut_off_is_refused(kind: str, skip: int, configuration: str, body: bytes) -> None:
    with pytest.raises(UnplayableError):
        codec.name_of(*entry(kind, skip, configuration, body))
