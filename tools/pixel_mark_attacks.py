"""What is done to marked videos: encoded again, scaled, cropped, re-timed, and all of it."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from services.orchestrator.media.pixel_mark import Frames

RATE, OTHER_RATE = 16, 24
CRF = 28


def halved(frames: Frames) -> Frames:
    """Returns the frames at half the width and height, both even."""
    height, width = (size // 4 * 2 for size in frames.shape[1:3])
    scaled = [
        av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        .reformat(width=width, height=height)
        .to_ndarray(format="rgb24")
        for frame in frames
    ]
    return np.stack(scaled).astype(np.uint8, copy=False)


def cropped(frames: Frames) -> Frames:
    """Returns the frames without a tenth of their width and height, taken from odd places."""
    height, width = (int(size * 0.9) // 2 * 2 for size in frames.shape[1:3])
    return frames[:, 7 : 7 + height, 9 : 9 + width]


def retimed(frames: Frames) -> Frames:
    """Returns the frames at another rate, repeated where needed; the duration stays."""
    count = len(frames) * OTHER_RATE // RATE
    return np.take(frames, np.minimum(np.arange(count) * RATE // OTHER_RATE, len(frames) - 1), axis=0)


ATTACKS: dict[str, Callable[[Frames], tuple[Frames, int]]] = {
    f"CRF {CRF}": lambda frames: (frames, RATE),
    "half the size": lambda frames: (halved(frames), RATE),
    "cropped by 10 %": lambda frames: (cropped(frames), RATE),
    f"re-timed from {RATE} to {OTHER_RATE} a second": lambda frames: (retimed(frames), OTHER_RATE),
    "all together": lambda frames: (halved(cropped(retimed(frames))), OTHER_RATE),
}
"""Each returns frames and their rate; `reencoded` follows."""


def reencoded(frames: Frames, rate: int, path: Path) -> None:
    """Writes the frames as H.264 at CRF 28, with x264's usual preset and B-frames."""
    with av.open(f"file:{path}", "w") as container:
        options = {"crf": str(CRF), "preset": "medium", "threads": "1"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
