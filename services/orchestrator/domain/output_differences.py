"""Differences between a vendor's video and what was requested or promised: warnings, because it is paid for."""

import re
from collections.abc import Iterator, Mapping

from services.orchestrator.domain.event import Warned
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.domain.spec import ImageToVideo, Spec, TalkingAvatar
from services.reasons import JobReason

LENGTH_S = 0.5
"""Seconds by which a length may differ."""
SIDE_PX = 16
"""Pixels by which the shorter side may differ: vendors round to blocks."""


def output_differences(spec: Spec, info: VideoInfo, promised: Mapping[str, str]) -> Iterator[Warned]:
    """Yields a warning for each difference between a video and its completed spec."""
    came = f"The video is {info.width}x{info.height}"
    lines = re.fullmatch(r"([0-9]{3,4})p", spec.resolution or "")
    short = min(info.width, info.height)
    if lines and abs(short - int(lines[1])) > SIDE_PX:
        yield Warned(JobReason.OUTPUT_SIZE, f"{came}; {spec.resolution} was asked for.")
    for side, value in (("width", info.width), ("height", info.height)):
        value_promised = promised.get(side, "")
        if re.fullmatch(r"[0-9]{1,5}", value_promised) and int(value_promised) != value:
            yield Warned(JobReason.OUTPUT_SIZE, f"{came}; the vendor promised a {side} of {value_promised}.")
    requested_s = (spec.duration_ms or 0) / 1000
    if abs(info.duration_s - requested_s) > LENGTH_S:
        yield Warned(JobReason.OUTPUT_LENGTH, f"The video plays {info.duration_s:.2f} s, not {requested_s:g} s.")
    speaks = isinstance(spec.operation, TalkingAvatar)
    sounds = speaks or (isinstance(spec.operation, ImageToVideo) and spec.operation.audio != "")
    if sounds and info.audio_s is None:
        yield Warned(JobReason.OUTPUT_SILENT, "The video has no sound, though one was given.")
    elif speaks and info.audio_s is not None and abs(info.audio_s - requested_s) > LENGTH_S:
        yield Warned(JobReason.OUTPUT_SOUND_LENGTH, f"The sound plays {info.audio_s:.2f} s, not {requested_s:g} s.")
