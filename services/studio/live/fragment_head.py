"""FragmentHead: what comes before the pictures of a fragment, and where its times are. Pure.

A fragment is an MP4 with its own header: `ftyp`, `moov`, `moof`, `mdat`. The first two are an initialization segment,
the last two a media segment.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from services.studio.live import codec
from services.studio.live.boxes import Box, TooShortError, UnplayableError, boxes, inside, number, one

INIT_MOST = 64 * 1024
"""Bytes of `ftyp` and `moov` together."""
TRACKS_MOST = 8
BASE_DATA_OFFSET = 0x000001
"""Flag of `tfhd`: data are found by their place in the file, which a segment does not keep."""


@dataclass(frozen=True, slots=True)
class Track:
    """A track."""

    id: int
    handler: bytes
    """`vide` or `soun`."""
    timescale: int
    """Units of its times in a second."""
    codec: str
    """Empty: it has no name here."""


@dataclass(frozen=True, slots=True)
class DecodeTime:
    """When the samples of a track in this fragment begin (`tfdt`)."""

    track: Track
    at: int
    """Where it is in the file."""
    size: int
    """Bytes, 4 or 8."""
    time: int
    """In units of the track."""


@dataclass(frozen=True, slots=True)
class FragmentHead:
    """What a segment needs to know of a fragment."""

    init: bytes
    """The initialization segment."""
    tracks: tuple[Track, ...]
    media: int
    """Where the media segment begins; it goes to the end of the file."""
    sequence: int
    """Where the sequence number of the movie fragment is (`mfhd`), 4 bytes."""
    times: tuple[DecodeTime, ...]

    @property
    def codecs(self) -> str:
        """All codecs, for a playlist; empty if one has no name."""
        named = [each.codec for each in self.tracks]
        return ",".join(named) if all(named) else ""


def read(data: bytes, size: int) -> FragmentHead:
    """Reads the beginning of a fragment of `size` bytes.

    Raises TooShortError if `data` is too short, UnplayableError if this is no fragment that can be cut.
    """
    top = boxes(data, 0, size, top=True)
    header = _next(top, data, b"ftyp")
    movie = _next(top, data, b"moov")
    part = _next(top, data, b"moof", skipped=(b"styp", b"sidx"))
    media = _next(top, data, b"mdat", whole=False)
    if media.end != size:
        raise UnplayableError("has more than one movie fragment, or something behind it")
    init = data[header.start : header.end] + data[movie.start : movie.end]
    if len(init) > INIT_MOST:
        raise UnplayableError(f"has a header of {len(init)} bytes")
    tracks = _tracks(data, movie)
    found = inside(data, part)
    sequence = one(found, b"mfhd")
    number(data, sequence, 4, 4)
    times = tuple(_time(data, each, tracks) for each in found.get(b"traf", []))
    if not times:
        raise UnplayableError("has no samples")
    return FragmentHead(init, tuple(tracks.values()), part.start, sequence.body + 4, times)


def _next(top: Iterator[Box], data: bytes, kind: bytes, *, skipped: tuple[bytes, ...] = (), whole: bool = True) -> Box:
    """Returns the next box of a kind at the top, which `data` has whole unless only its place matters."""
    for box in top:
        if box.kind == kind:
            if whole and box.end > len(data):
                raise TooShortError(box.end)
            return box
        if box.kind not in (b"free", b"skip", *skipped):
            break
    raise UnplayableError(f"has no box {kind.decode()!r} where it belongs")


def _tracks(data: bytes, movie: Box) -> dict[int, Track]:
    found = inside(data, movie)
    if b"mvex" not in found:
        raise UnplayableError("is not a fragmented MP4")
    tracks = [_track(data, each) for each in found.get(b"trak", [])]
    by_id = {track.id: track for track in tracks}
    if not 1 <= len(tracks) <= TRACKS_MOST or len(by_id) != len(tracks):
        raise UnplayableError(f"has {len(tracks)} tracks, or two with one number")
    return by_id


def _track(data: bytes, box: Box) -> Track:
    found = inside(data, box)
    media = inside(data, one(found, b"mdia"))
    header, clock, handler = one(found, b"tkhd"), one(media, b"mdhd"), one(media, b"hdlr")
    # Version 1 has times of 64 bits before these fields.
    track_id = number(data, header, 20 if number(data, header, 0, 1) == 1 else 12, 4)
    timescale = number(data, clock, 20 if number(data, clock, 0, 1) == 1 else 12, 4)
    if not timescale:
        raise UnplayableError("has a track without a unit of time")
    kind = number(data, handler, 8, 4).to_bytes(4, "big")
    samples = inside(data, one(inside(data, one(media, b"minf")), b"stbl"))
    entries = list(boxes(data, min((listed := one(samples, b"stsd")).body + 8, listed.end), listed.end))
    if len(entries) != 1:
        raise UnplayableError(f"has a track with {len(entries)} kinds of samples")
    return Track(track_id, kind, timescale, codec.name_of(data, entries[0]))


def _time(data: bytes, box: Box, tracks: dict[int, Track]) -> DecodeTime:
    found = inside(data, box)
    header, decoded = one(found, b"tfhd"), one(found, b"tfdt")
    if number(data, header, 1, 3) & BASE_DATA_OFFSET:
        raise UnplayableError("finds its data by their place in the file")
    track = tracks.get(number(data, header, 4, 4))
    if track is None:
        raise UnplayableError("has samples of a track that it does not describe")
    size = 8 if number(data, decoded, 0, 1) == 1 else 4
    return DecodeTime(track, decoded.body + 4, size, number(data, decoded, 4, size))
