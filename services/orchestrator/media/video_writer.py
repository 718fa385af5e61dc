"""Videos as H.264 in MP4, written block by block while they are made.

Each block of frames is encoded once and returned twice: immediately as a fragment that plays alone, and in the end as
part of the whole, from the very same packets. Blocking and pure CPU: call it in a thread.
"""

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import Flags as CodecFlags
from av.container import Flags as FormatFlags
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream

from services.orchestrator.media.pixel_mark import mark

Frames = npt.NDArray[np.uint8]
"""(F, H, W, 3), RGB"""

#: Below this many pixels a frame, a second thread costs more than it brings.
_PIXELS_FOR_TWO_THREADS = 640 * 360

_ENCODER = {
    "preset": "veryfast",
    # No B-frames and no looking ahead: a frame given is a packet had, so that no block waits for the next.
    "tune": "zerolatency",
    "crf": "20",
    # Key frames only where we request one; each is an IDR, so that a fragment needs nothing before it.
    "forced-idr": "1",
    "x264-params": "keyint=infinite:scenecut=0",
}

_FRAGMENT = {
    # One moof per fragment, decode times continued from the packets, no index of the file at the end.
    "movflags": "empty_moov+default_base_moof+frag_custom+frag_discont+skip_trailer",
    "avoid_negative_ts": "disabled",
}


@dataclass(frozen=True, slots=True)
class _Packet:
    data: bytes
    frame: int
    is_key: bool


class VideoWriter:
    """One video in the making. Same frames, same bytes: nothing in it depends on the clock or on chance."""

    def __init__(self, width: int, height: int, fps: float, *, marked: bool = False) -> None:
        """With `marked`, every frame gets the pixel mark.

        Raises ValueError for a size that is not even, or no rate: 4:2:0 colour has one sample per 2 x 2 pixels.
        """
        if width <= 0 or height <= 0 or width % 2 or height % 2:
            raise ValueError(f"a video is of even size, not {width} x {height}")
        if not fps > 0:
            raise ValueError(f"a video has more than {fps} frames a second")
        self._shape = (height, width, 3)
        self._marked = marked
        self._rate = Fraction(fps).limit_denominator(1001)
        self._packets: list[_Packet] = []
        self._fragments = 0
        self._reformatter = VideoReformatter()
        # The container is there for its stream, the template of every later one; nothing is ever muxed into it.
        self._carrier = av.open(io.BytesIO(), "w", format="null")
        self._stream: VideoStream = self._carrier.add_stream("libx264", rate=self._rate, options=dict(_ENCODER))
        self._encoder: VideoCodecContext = self._stream.codec_context
        self._open_encoder(width, height)

    def _open_encoder(self, width: int, height: int) -> None:
        encoder = self._encoder
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.time_base = 1 / self._rate
        # More threads would cut frames into more slices: the number is fixed, or the bytes would depend on the machine.
        encoder.thread_count = 2 if width * height >= _PIXELS_FOR_TWO_THREADS else 1
        encoder.flags |= CodecFlags.global_header | CodecFlags.bitexact
        encoder.color_range = ColorRange.MPEG
        encoder.colorspace = Colorspace.ITU709
        encoder.color_primaries = ColorPrimaries.BT709
        encoder.color_trc = ColorTrc.BT709
        self._carrier.start_encoding()
        # Container and stream hold each other; closed, they do not, and the encoder goes when the writer goes.
        self._carrier.close()

    def add(self, frames: Frames) -> bytes:
        """Encodes the frames of one block and returns them, all of them, as a fragment.

        A fragment is an MP4 of its own; its decode time continues the one before, so a player that is fed one after
        the other, or all in one file, shows them in sequence.

        Raises ValueError when the frames are none, or not of the video's size.
        """
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != self._shape or not len(frames):
            raise ValueError(f"a block is uint8 (F, {', '.join(map(str, self._shape))}), not {frames.shape}")
        shown = mark(frames) if self._marked else frames
        block = [self._encode(frame, is_key=index == 0) for index, frame in enumerate(shown)]
        self._fragments += 1
        piece = io.BytesIO()
        options = _FRAGMENT | {"fragment_index": str(self._fragments)}
        with av.open(piece, "w", format="mp4", container_options=options) as container:
            self._mux(container, block)
        return piece.getvalue()

    def finish(self, path: Path) -> None:
        """Writes the whole video so far to a file, its index in front. Raises ValueError before the first block."""
        if not self._packets:
            raise ValueError("a video has at least one frame")
        options = {"movflags": "faststart"}
        # `file:` keeps a colon in the name from being read as a protocol.
        with av.open(f"file:{path}", "w", format="mp4", container_options=options) as container:
            self._mux(container, self._packets)

    def _encode(self, pixels: npt.NDArray[np.uint8], *, is_key: bool) -> _Packet:
        number = len(self._packets)
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        frame.color_primaries, frame.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        frame.pts, frame.time_base = number, 1 / self._rate
        frame.pict_type = PictureType.I if is_key else PictureType.NONE
        (encoded,) = self._encoder.encode(frame)
        packet = _Packet(bytes(encoded), number, encoded.is_keyframe)
        self._packets.append(packet)
        return packet

    def _mux(self, container: OutputContainer, packets: list[_Packet]) -> None:
        container.flags |= FormatFlags.bitexact.value  # type: ignore[operator]  # no time of writing, no version of the muxer
        stream = container.add_stream_from_template(self._stream, opaque=False)
        for packet in packets:
            muxed = av.Packet(packet.data)
            muxed.stream = stream
            muxed.time_base = 1 / self._rate
            muxed.pts = muxed.dts = packet.frame
            muxed.duration = 1
            muxed.is_keyframe = packet.is_key
            container.mux(muxed)
