"""What a vendor sent, held against what was asked for and promised. It is paid for: a mismatch is told, and no more."""

import re
from collections.abc import Iterator, Mapping

from services.orchestrator.domain.event import Warned
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.domain.spec import ImageToVideo, Spec, TalkingAvatar

LENGTH_S = 0.5
"""By how much a length may differ."""
SIDE_PX = 16
"""By how much the shorter side may differ: vendors round to blocks."""


def output_differences(spec: Spec, info: VideoInfo, promised: Mapping[str, str]) -> Iterator[Warned]:
    """Yields what is not as it should be of the video of a completed spec."""
    came = f"The video is {info.width}x{info.height}"
    lines = re.fullmatch(r"([0-9]{3,4})p", spec.resolution or "")
    short = min(info.width, info.height)
    if lines and abs(short - int(lines[1])) > SIDE_PX:
        yield Warned("OUTPUT_SIZE", f"{came}; {spec.resolution} was asked for.")
    for side, value in (("width", info.width), ("height", info.height)):
        told = promised.get(side, "")
        if re.fullmatch(r"[0-9]{1,5}", told) and int(told) != value:
            yield Warned("OUTPUT_SIZE", f"{came}; the vendor promised a {side} of {told}.")
    asked_s = (spec.duration_ms or 0) / 1000
    if abs(info.duration_s - asked_s) > LENGTH_S:
        yield Warned("OUTPUT_LENGTH", f"The video plays {info.duration_s:.2f} s, not {asked_s:g} s.")
    speaks = isinstance(spec.operation, TalkingAvatar)
    sounds = speaks or (isinstance(spec.operation, ImageToVideo) and spec.operation.audio != "")
    if sounds and info.audio_s is None:
        yield Warned("OUTPUT_SILENT", "The video has no sound, though one was given.")
    elif speaks and info.audio_s is not None and abs(info.audio_s - asked_s) > LENGTH_S:
        yield Warned("OUTPUT_SOUND_LENGTH", f"The sound plays {info.audio_s:.2f} s, not {asked_s:g} s.")
