"""Adds the pixel mark to a vendor's video, which is decoded and encoded again for it. Runs in the child only.

The number and the times of the frames stay, and the packets of the sound. The mark is added to the luma as it is
decoded: colours are not converted, so a wide gamut and a high dynamic range stay too.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO, TypeAlias, cast

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import Flags as CodecFlags
from av.container import Flags as FormatFlags
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from services.orchestrator.media import video_measure
from services.orchestrator.media.picture_header import Refused
from services.orchestrator.media.pixel_mark import luma_pattern
from services.orchestrator.media.remux import AUDIO
from services.orchestrator.media.video_measure import MAX_SIDE, coding, form_of
from services.reasons import AssetReason

Packets: TypeAlias = "list[av.Packet[Any]]"

CODECS = ("av1", "h264", "hevc", "vp8", "vp9")
"""What is encoded again. Lossless codecs and those of studios were chosen for their quality."""
TWO_THREADS_PIXELS = 640 * 360
"""Below this many pixels a frame, a second thread costs more than it brings."""
INDEX_BYTES, FRAME_BYTES, SOUND_BYTES = 16_384, 40, 24
"""What an MP4's index needs at most, and for each packet. Its place in front is reserved: players start sooner."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How frames of one form are encoded."""

    encoder: str
    options: dict[str, str]
    tag: str = ""


H264 = Encoding("libx264", {"preset": "veryfast", "crf": "16", "bf": "0"})
"""Without B-frames: x264 gives wrong decode times to a video of fewer frames than it reorders."""
VP9 = Encoding("libvpx-vp9", {"deadline": "realtime", "cpu-used": "6", "crf": "12", "b": "0"})
"""For odd sizes, which H.264 and HEVC cannot have."""
HEVC = Encoding(
    "libx265",
    {"preset": "superfast", "crf": "16", "x265-params": "bframes=0:pools=none:frame-threads=1:log-level=none"},
    "hvc1",
)
"""For ten bits a colour, which few players accept in H.264."""


def mark_video(source: BinaryIO, target: BinaryIO) -> Callable[[], dict[str, object]]:
    """Writes an MP4 with the mark in all frames, and the same sound.

    Raises:
        Refused: something would be lost; also any error of PyAV on broken data.
    """
    index = _index_bytes(source)
    options = {"movflags": "default_base_moof", "moov_size": str(index)}
    with av.open(source, "r", format=form_of(source)) as given:
        video = _video(given)
        with av.open(target, "w", format="mp4", container_options=options) as made:
            made.flags |= FormatFlags.bitexact.value  # type: ignore[operator]  # equal videos stay equal
            _encode(given, video, made)
    return dict


def _index_bytes(source: BinaryIO) -> int:
    with av.open(source, "r", format=form_of(source)) as given:
        kinds = [packet.stream.type for packet in given.demux() if packet.size]
    source.seek(0)
    return INDEX_BYTES + FRAME_BYTES * kinds.count("video") + SOUND_BYTES * kinds.count("audio")


def _video(given: InputContainer) -> VideoStream:
    """Returns the track to mark. Raises Refused."""
    if len(given.streams.video) != 1 or given.streams.subtitles:
        raise _refused("has subtitles, or not one video track")
    video = given.streams.video[0]
    codec = video.codec_context
    if codec is None or coding(video) not in CODECS:
        raise _refused("is in a codec that is not encoded again")
    if not {coding(sound) for sound in given.streams.audio} <= set(AUDIO):
        raise _refused("has sound that MP4 does not support")
    if not (0 < codec.width <= MAX_SIDE and 0 < codec.height <= MAX_SIDE):
        raise _refused("is too large")
    if video.metadata.get("alpha_mode") == "1":
        raise _refused("has transparent parts")
    codec.thread_count = 1
    return video


def _encode(given: InputContainer, video: VideoStream, made: OutputContainer) -> None:
    marked: _MarkedTrack | None = None
    copies: dict[int, Stream] = {}
    waiting: Packets = []
    for packet in given.demux(video, *given.streams.audio):
        if packet.stream.index != video.index:
            if not packet.size:
                continue
            if packet.dts is None:
                raise _refused("does not say when its sound is played")
            if marked is None:
                waiting.append(packet)  # the first frame decides about the tracks
                continue
            packet.stream = copies[packet.stream.index]
            made.mux(packet)
            continue
        for frame in packet.decode():
            if not isinstance(frame, VideoFrame):
                continue
            if marked is None:
                marked = _MarkedTrack(made, video, frame)
                copies = {each.index: made.add_stream_from_template(each, opaque=True) for each in given.streams.audio}
            made.mux(marked.encode(frame))
            for early in waiting:
                early.stream = copies[early.stream.index]
                made.mux(early)
            waiting.clear()
    if marked is None:
        raise _refused("has no frame that can be decoded")
    made.mux(marked.finish())


class _MarkedTrack:
    """The video track in the making."""

    def __init__(self, made: OutputContainer, video: VideoStream, first: VideoFrame) -> None:
        """Raises Refused for frames that no encoder here can take as they are."""
        encoding, self._format = _encoding(first)
        given, self._time_base = video.codec_context, video.time_base or Fraction(1, 90_000)
        rate = video.average_rate or video.guessed_rate or Fraction(25)
        self._usual = max(1, round(1 / (rate * self._time_base)))
        self._track = cast(VideoStream, made.add_stream(encoding.encoder, rate=rate, options=dict(encoding.options)))
        codec = self._track.codec_context
        codec.width, codec.height, codec.pix_fmt = first.width, first.height, self._format
        codec.time_base = self._track.time_base = self._time_base
        codec.thread_count = 2 if first.width * first.height >= TWO_THREADS_PIXELS else 1
        codec.flags |= CodecFlags.bitexact
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(codec, name, getattr(given, name))
        self._full = given.color_range == ColorRange.JPEG or first.format.name == "yuvj420p"
        if self._full:
            codec.color_range = ColorRange.JPEG
        if given.sample_aspect_ratio:
            codec.sample_aspect_ratio = given.sample_aspect_ratio
        if encoding.tag:
            codec.codec_tag = encoding.tag
        self._size, self._given_format = (first.width, first.height), first.format.name
        self._last: int | None = None
        self._durations: dict[int, int] = {}

    def encode(self, frame: VideoFrame) -> Packets:
        """Adds a frame. Raises Refused if its time or form does not continue the track."""
        if frame.pts is None or (self._last is not None and frame.pts <= self._last):
            raise _refused("does not say when its frames are shown")
        if ((frame.width, frame.height), frame.format.name) != (self._size, self._given_format) or frame.is_corrupt:
            raise _refused("has frames that differ in size or form, or are damaged")
        self._last = frame.pts
        self._durations[frame.pts] = frame.duration or self._usual
        return self._timed(self._track.encode(self._marked(frame)))

    def finish(self) -> Packets:
        """Returns the last packets."""
        return self._timed(self._track.encode(None))

    def _timed(self, packets: Packets) -> Packets:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, self._usual)
        return packets

    def _marked(self, frame: VideoFrame) -> VideoFrame:
        made = VideoFrame(*self._size, self._format)
        bits = frame.format.components[0].bits
        most = (1 << bits) - 1
        pattern = luma_pattern(frame.height, frame.width, most if self._full else 219 << (bits - 8))
        for index, (plane, copy) in enumerate(zip(frame.planes, made.planes, strict=True)):
            rows, copied = _rows(plane, bits), _rows(copy, bits)
            copied[...] = rows if index else np.clip(rows + pattern, 0, most)
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(made, name, getattr(self._track.codec_context, name))
        made.pts, made.time_base = frame.pts, self._time_base
        return made


def _encoding(first: VideoFrame) -> tuple[Encoding, str]:
    if first.rotation or first.interlaced_frame:
        raise _refused("is rotated or interlaced")
    even = not (first.width % 2 or first.height % 2)
    if first.format.name in ("yuv420p", "yuvj420p"):
        return H264 if even else VP9, "yuv420p"
    if first.format.name == "yuv420p10le" and even:
        return HEVC, "yuv420p10le"
    raise _refused(f"has frames of the form {first.format.name}, {first.width} x {first.height}")


def _rows(plane: VideoPlane, bits: int) -> npt.NDArray[Any]:
    """Returns the samples of a plane, (H, W), in its own memory."""
    dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
    rows: npt.NDArray[Any] = np.frombuffer(memoryview(plane), dtype)
    return rows.reshape(plane.height, plane.line_size // dtype.itemsize)[:, : plane.width]


def _refused(description: str) -> Refused:
    return Refused(AssetReason.VIDEO_FORMAT, description)


def warm() -> None:
    """Loads all that the encoders will need; see video_measure.warm."""
    video_measure.warm()
    for encoding, width, form in ((H264, 64, "yuv420p"), (VP9, 63, "yuv420p"), (HEVC, 64, "yuv420p10le")):
        tiny = io.BytesIO()
        black = VideoFrame.from_ndarray(np.zeros((64, width, 3), np.uint8), format="rgb24").reformat(format=form)
        with av.open(tiny, "w", format="mp4") as container:
            options = dict(encoding.options)
            stream = cast(VideoStream, container.add_stream(encoding.encoder, rate=16, options=options))
            stream.width, stream.height, stream.pix_fmt = width, 64, form
            for index in range(2):
                black.pts = index
                container.mux(stream.encode(black))
            container.mux(stream.encode(None))
        tiny.seek(0)
        mark_video(tiny, io.BytesIO())
