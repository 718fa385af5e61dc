"""Real fragments of our own engine, and files that a player would have of their segments."""

import io
from fractions import Fraction

import av

from services.orchestrator.domain.spec import Size
from services.orchestrator.media.video_writer import VideoWriter
from services.studio.live import fragment_head, retiming
from tests.support.builders import some_frames

SIZE = Size(64, 32)


def fragments(lengths: list[int], fps: float = 8, seed: int = 0, size: Size = SIZE) -> list[bytes]:
    """Returns fragments with so many frames."""
    writer, frames, made, at = VideoWriter(size.width, size.height, fps), some_frames(sum(lengths), size, seed), [], 0
    for length in lengths:
        made.append(writer.add(frames[at : at + length]))
        at += length
    return made


def segment(fragment: bytes, number: int, begins_s: Fraction) -> bytes:
    """Returns the media segment of a fragment."""
    head = fragment_head.read(fragment, len(fragment))
    return retiming.patched(fragment[head.media :], head.media, retiming.patches(head, number, begins_s))


def shown(file: bytes) -> list[Fraction]:
    """Returns when each picture of a file is shown, in seconds; all are decoded."""
    with av.open(io.BytesIO(file)) as opened:
        stream = opened.streams.video[0]
        return [frame.pts * stream.time_base for frame in opened.decode(stream)]
