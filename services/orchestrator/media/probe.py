"""Probes foreign videos and sounds in child processes.

The worst that a file can do is to be refused. Blocking: call it in a thread.
"""

import logging
from pathlib import Path
from typing import Any, BinaryIO

from services.errors import InvalidUpload, Unavailable, Violation
from services.orchestrator.domain.media_info import AudioInfo, VideoInfo
from services.orchestrator.media.sandbox import DecoderDied, GivenUp, Sandbox
from services.reasons import AssetReason, Reason, reason_of

log = logging.getLogger(__name__)

PROBE_LIMIT_S = 10.0
"""Of processor time."""
MARK_LIMIT_S = 60.0
"""The same for the pixel mark."""
AT_ONCE = 2
"""Files of a kind that are probed at the same time."""

_videos = Sandbox("videos", size=AT_ONCE, limit_s=PROBE_LIMIT_S)
_outputs = Sandbox("outputs", size=AT_ONCE, limit_s=PROBE_LIMIT_S)
_repacks = Sandbox("repacks", size=1, limit_s=PROBE_LIMIT_S)
_sounds = Sandbox("sounds", size=AT_ONCE, limit_s=PROBE_LIMIT_S)
_marks = Sandbox("marks", size=AT_ONCE, limit_s=MARK_LIMIT_S)


def probe(path: Path) -> VideoInfo:
    """Counts the frames of a video file and decodes the first.

    Raises:
        InvalidUpload: not a playable H.264 MP4; the reason says why.
        Unavailable: no decoder could be started.
    """
    return _video(look(_videos, path, AssetReason.VIDEO_UNREADABLE, "MP4"))


def probe_output(path: Path) -> VideoInfo:
    """The same for a vendor's video, with any codec that can be decoded here. Raises as `probe`.

    It may be MP4, QuickTime, WebM or Matroska, as the media type of the answer shows.
    """
    return _video(look(_outputs, path, AssetReason.VIDEO_UNREADABLE, "MP4 or WebM"))


def keep_output(path: Path) -> tuple[VideoInfo, Path]:
    """Probes a vendor's video. Returns the facts of the file to keep, and that file.

    If MP4 supports the codecs, it is a new MP4 next to `path` with the same tracks. Otherwise it is `path`, unchanged.
    Raises as `probe`.
    """
    came = probe_output(path)
    if came.media_type == "video/mp4":
        return came, path
    packed = path.with_name(f"{path.name}.mp4")
    try:
        with packed.open("wb") as target:
            look(_repacks, path, AssetReason.VIDEO_FORMAT, "video", target)
        made = probe_output(packed)
    except (InvalidUpload, Unavailable, OSError) as error:
        log.info("a video is kept unchanged", extra={"media_type": came.media_type, "cause": str(error)})
        made = came
    same = (made.width, made.height, made.frames) == (came.width, came.height, came.frames)
    if made.media_type == "video/mp4" and same:
        return made, packed
    packed.unlink(missing_ok=True)
    return came, path


def probe_audio(path: Path) -> AudioInfo:
    """Measures a sound file. Which kind it is, is read from its bytes.

    Raises:
        InvalidUpload: no MP3, WAV, Ogg, FLAC, M4A or AAC, no samples in it, or more than an hour.
        Unavailable: no decoder could be started.
    """
    figures = look(_sounds, path, AssetReason.AUDIO_UNREADABLE, "sound")
    return AudioInfo(
        str(figures["media_type"]), figures["duration_s"], int(figures["sample_rate"]), int(figures["channels"])
    )


def find_mark(path: Path) -> bool:
    """Says whether the frames of a video carry the pixel mark.

    Raises:
        InvalidUpload: no MP4, QuickTime, WebM or Matroska that can be decoded here in the time.
        Unavailable: no decoder could be started.
    """
    return bool(look(_marks, path, AssetReason.VIDEO_UNREADABLE, "MP4 or WebM")["present"])


def _video(figures: dict[str, Any]) -> VideoInfo:
    return VideoInfo(
        media_type=str(figures["media_type"]),
        width=int(figures["width"]),
        height=int(figures["height"]),
        frames=int(figures["frames"]),
        fps=figures["fps"],
        duration_s=figures["duration_s"],
        audio_s=figures["audio_s"],
    )


def look(
    sandbox: Sandbox,
    path: Path,
    unreadable: Reason,
    what: str,
    target: BinaryIO | None = None,
    *,
    given_up: GivenUp | None = None,
) -> dict[str, Any]:
    """Returns what a child answers about a file; `what` it should be. It may write to `target`.

    Raises:
        InvalidUpload: it cannot be read; the reason is the child's, or `unreadable`.
        Unavailable, CallGivenUp
    """
    with path.open("rb") as source:
        try:
            out = None if target is None else target.fileno()
            answer = sandbox.call(source.fileno(), out, given_up=given_up)
        except DecoderDied as died:
            limit = f"takes more than {sandbox.limit_s:.0f} s of processor time to read"
            why = limit if died.out_of_time else "crashes the decoder"
            answer = {"reason": unreadable, "description": why}
    if "memory" in answer:
        answer = {"reason": unreadable, "description": "takes more than 1 GiB of memory to look into"}
    if "broken" in answer:
        answer = {"reason": unreadable, "description": f"is broken, or no {what}: its data cannot be read"}
    if "unwritten" in answer:
        answer = {"reason": unreadable, "description": f"cannot be written again: {answer['unwritten']}"}
    if "reason" in answer:
        reason = reason_of(str(answer["reason"]))
        raise InvalidUpload([Violation("data", str(answer["description"]), reason)], reason=reason)
    return answer
