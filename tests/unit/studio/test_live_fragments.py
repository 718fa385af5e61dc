"""Fragments as HLS segments: their headers are read, their times moved, and hostile bytes refused."""

import io
import struct
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.studio.live import fragment_head, retiming
from services.studio.live.boxes import TooShortError, UnplayableError
from services.studio.live.retiming import Patch
from tests.support.live_fragments import fragments, segment, shown

MADE = fragments([5, 4, 4])
FIRST = MADE[0]


def box(kind: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + kind.encode() + body


def read(data: bytes) -> fragment_head.FragmentHead:
    return fragment_head.read(data, len(data))


def changed(place: bytes, change: Callable[[int], bytes]) -> bytes:
    """Returns the first fragment with other bytes at the header of a box."""
    at = FIRST.index(place) - 4
    new = change(at)
    return FIRST[:at] + new + FIRST[at + len(new) :]


def with_sound() -> bytes:
    """Returns a fragment of pictures and AAC."""
    file = io.BytesIO()
    options = {"movflags": "empty_moov+default_base_moof+frag_custom+frag_discont+skip_trailer"}
    with av.open(file, "w", format="mp4", container_options=options) as made:
        pictures = made.add_stream("libx264", rate=8, options={"tune": "zerolatency"})
        pictures.width, pictures.height, pictures.pix_fmt = 64, 32, "yuv420p"
        sound = made.add_stream("aac", rate=48_000)
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((32, 64, 3), number * 9, np.uint8), format="rgb24")
            frame.pts = number
            made.mux(pictures.encode(frame))
        for number in range(20):
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            tone.sample_rate, tone.pts = 48_000, number * 1024
            made.mux(sound.encode(tone))
        made.mux(pictures.encode(None))
        made.mux(sound.encode(None))
    return file.getvalue()


def test_a_fragment_is_cut_into_its_header_and_its_pictures() -> None:
    head = read(FIRST)
    assert head.init[4:8] == b"ftyp"
    assert FIRST[head.media + 4 : head.media + 8] == b"moof"
    (track,) = head.tracks
    assert track.handler == b"vide"
    assert head.codecs == track.codec
    assert head.codecs.startswith("avc1.") and len(head.codecs) == 11
    with av.open(io.BytesIO(FIRST)) as opened:
        described = opened.streams.video[0].codec_context.extradata
    assert described is not None and head.codecs == f"avc1.{described[1:4].hex().upper()}"


def test_the_headers_of_all_fragments_of_a_video_are_equal() -> None:
    assert len({read(each).init for each in MADE}) == 1


@pytest.mark.parametrize("fps", [8, 24, 29.97002997002997, 16])
def test_segments_one_after_the_other_are_a_video_without_gaps(fps: float) -> None:
    made, rate = fragments([5, 4, 4], fps), Fraction(fps).limit_denominator(1001)
    begins = [Fraction(0), 5 / rate, 9 / rate]
    whole = read(made[0]).init + b"".join(segment(each, *at) for each, at in zip(made, enumerate(begins), strict=True))
    assert shown(whole) == [number / rate for number in range(13)]


def test_fragments_that_all_begin_at_0_are_moved_to_their_places() -> None:
    alone = [fragments([5])[0], fragments([4], seed=1)[0], fragments([4], seed=2)[0]]
    assert [read(each).times[0].time for each in alone] == [0, 0, 0]
    begins = [Fraction(0), Fraction(5, 8), Fraction(9, 8)]
    parts = [segment(each, *at) for each, at in zip(alone, enumerate(begins), strict=True)]
    assert shown(read(alone[0]).init + b"".join(parts)) == [Fraction(number, 8) for number in range(13)]
    assert [struct.unpack(">I", each[each.index(b"mfhd") + 8 :][:4])[0] for each in parts] == [1, 2, 3]


def test_sound_moves_by_the_same_time_as_its_pictures() -> None:
    fragment = with_sound()
    head = read(fragment)
    assert head.codecs.startswith("avc1.") and head.codecs.endswith(",mp4a.40.2")
    before = {each.track.handler: Fraction(each.time, each.track.timescale) for each in head.times}
    moved = head.init + segment(fragment, 3, Fraction(10))
    after = {each.track.handler: Fraction(each.time, each.track.timescale) for each in read(moved).times}
    assert {kind: after[kind] - before[kind] for kind in before} == dict.fromkeys(before, 10 - before[b"vide"])
    with av.open(io.BytesIO(moved)) as opened:
        sound = [packet for packet in opened.demux(opened.streams.audio[0]) if packet.size]
        assert len(sound) >= 20


def test_patches_are_applied_however_the_bytes_are_split() -> None:
    head = read(FIRST)
    changes = retiming.patches(head, 7, Fraction(100))
    whole = retiming.patched(FIRST, 0, changes)
    assert whole != FIRST and len(whole) == len(FIRST)
    for step in (1, 3, 7, 1000):
        parts = [retiming.patched(FIRST[at : at + step], at, changes) for at in range(0, len(FIRST), step)]
        assert b"".join(parts) == whole
    assert retiming.patched(b"abcdef", 10, [Patch(8, b"123"), Patch(15, b"45")]) == b"3bcde4"


def test_a_cut_off_beginning_asks_for_more_and_never_for_more_than_it_needs() -> None:
    needed = FIRST.index(b"mdat") + 4
    for length in range(needed):
        with pytest.raises(TooShortError) as caught:
            fragment_head.read(FIRST[:length], len(FIRST))
        assert length < caught.value.size <= needed
    assert fragment_head.read(FIRST[:needed], len(FIRST)) == read(FIRST)


@pytest.mark.parametrize("size", [0, 1, 7, 2**31, 2**32 - 1])
@pytest.mark.parametrize(
    "kind", [b"ftyp", b"moov", b"trak", b"mdia", b"stsd", b"avc1", b"avcC", b"moof", b"traf", b"tfdt"]
)
def test_a_box_of_a_wrong_size_is_refused(kind: bytes, size: int) -> None:
    with pytest.raises(UnplayableError):
        read(changed(kind, lambda _: struct.pack(">I", size)))


@pytest.mark.parametrize("size", [0, 8, 15, 2**63, 2**64 - 1])
def test_a_box_of_a_wrong_size_in_64_bits_is_refused(size: int) -> None:
    hostile = box("ftyp", b"isom" * 2) + struct.pack(">I4sQ", 1, b"moov", size) + FIRST[28:]
    with pytest.raises(UnplayableError):
        read(hostile)


@pytest.mark.parametrize(
    "kind", [b"ftyp", b"mvex", b"tkhd", b"mdhd", b"hdlr", b"minf", b"stbl", b"stsd", b"avcC", b"mfhd", b"tfhd", b"tfdt"]
)
def test_a_missing_box_is_refused(kind: bytes) -> None:
    with pytest.raises(UnplayableError):
        read(changed(kind, lambda at: FIRST[at : at + 4] + b"xxxx"))


def test_nested_endless_and_foreign_boxes_are_refused() -> None:
    nested = b""
    for _ in range(2000):
        nested = box("moov", nested)
    many = box("moov", box("free") * 2000)
    for hostile in (
        nested,
        many,
        b"",
        b"\0" * 100,
        b"not a video",
        FIRST + FIRST,
        FIRST + b"mfra",
        box("mdat") + FIRST,
    ):
        with pytest.raises((UnplayableError, TooShortError)):
            read(hostile)
    with pytest.raises(UnplayableError, match="place in the file"):
        read(changed(b"tfhd", lambda at: FIRST[at : at + 8] + b"\0\0\0\x01"))
    with pytest.raises(UnplayableError, match="does not describe"):
        read(changed(b"tfhd", lambda at: FIRST[at : at + 12] + b"\0\0\0\x09"))
    with pytest.raises(UnplayableError, match="unit of time"):
        read(changed(b"mdhd", lambda at: FIRST[at : at + 20] + b"\0\0\0\0"))


def test_the_finished_file_is_no_fragment() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as made, av.open(io.BytesIO(FIRST)) as source:
        stream = made.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                made.mux(packet)
    with pytest.raises(UnplayableError):
        read(file.getvalue())


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_altered_byte_is_read_or_refused(data: st.DataObject) -> None:
    head = FIRST.index(b"mdat") + 4
    altered = bytearray(FIRST)
    for _ in range(data.draw(st.integers(1, 4))):
        altered[data.draw(st.integers(0, head - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(altered))
        retiming.patches(found, 1, Fraction(5, 8))
    except (UnplayableError, TooShortError):
        pass


def test_a_time_that_does_not_fit_is_refused() -> None:
    head = read(FIRST)
    with pytest.raises(UnplayableError, match="does not fit"):
        retiming.patches(head, 0, Fraction(2**70))
