"""Decoder: the pictures of a part of a video as JPEG. Runs in threads; memory and time are bounded."""

import base64
import io
from time import monotonic

import av
from av.video.reformatter import VideoReformatter
from PIL import Image

from services.studio.socket.pictures import Pictures, UnreadableError

SIDE_MOST = 1280
"""Pixels of a picture's longer side; larger ones are made smaller."""
PIXELS_MOST = 4096 * 4096
FRAMES_MOST = 1000
"""In a part: a minute at 16 frames a second."""
PICTURES_BYTES_MOST = 64 * 2**20
SECONDS_MOST = 30.0
QUALITY = 85
FPS_UNKNOWN = 16.0


def decode(part: bytes) -> Pictures:
    """Returns the pictures of an MP4. Blocks. Raises UnreadableError."""
    until, found, size = monotonic() + SECONDS_MOST, list[str](), 0
    try:
        with av.open(io.BytesIO(part), mode="r", format="mp4") as opened:
            if not opened.streams.video:
                raise UnreadableError("has no pictures")
            stream = opened.streams.video[0]
            stream.codec_context.thread_count = 1
            if stream.codec_context.width * stream.codec_context.height > PIXELS_MOST:
                raise UnreadableError(f"has more than {PIXELS_MOST} pixels")
            fps = float(stream.average_rate or FPS_UNKNOWN)
            reformatter = VideoReformatter()  # one for all: to set one up takes as long as to encode a small picture
            for frame in opened.decode(stream):
                found.append(_data_uri(frame, reformatter))
                size += len(found[-1])
                if len(found) > FRAMES_MOST or size > PICTURES_BYTES_MOST or monotonic() > until:
                    raise UnreadableError(f"is more than {FRAMES_MOST} frames, or than is shown in time")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise UnreadableError(f"cannot be decoded: {type(error).__name__}") from error
    if not found:
        raise UnreadableError("has no pictures")
    return Pictures(found, fps)


def _data_uri(frame: av.VideoFrame, reformatter: VideoReformatter) -> str:
    if frame.width * frame.height > PIXELS_MOST:
        raise UnreadableError(f"has a frame of more than {PIXELS_MOST} pixels")
    scale = min(1.0, SIDE_MOST / max(frame.width, frame.height))
    rgb, file = reformatter.reformat(frame, format="rgb24"), io.BytesIO()
    plane = rgb.planes[0]
    picture = Image.frombytes("RGB", (rgb.width, rgb.height), bytes(plane), "raw", "RGB", plane.line_size, 1)
    if scale < 1:
        picture = picture.resize((max(1, round(frame.width * scale)), max(1, round(frame.height * scale))))
    picture.save(file, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getbuffer()).decode()}"
