"""Remuxes the tracks of a video into an MP4, without encoding them again. Runs in the child only."""

from collections.abc import Callable
from typing import BinaryIO

import av

from services.orchestrator.media.picture_header import Refused
from services.orchestrator.media.video_measure import coding, form_of
from services.reasons import AssetReason

VIDEO = ("av1", "h264", "hevc", "vp9")
AUDIO = ("aac", "mp3", "opus")
"""The codecs that MP4 and its players support."""


def remux(source: BinaryIO, target: BinaryIO) -> Callable[[], dict[str, object]]:
    """Writes the same packets at the same times. Raises Refused if MP4 does not support one of the tracks."""
    with av.open(source, "r", format=form_of(source)) as given:
        tracks = [*given.streams.video, *given.streams.audio]
        codecs = {coding(track) for track in tracks}
        kinds = (len(given.streams.video), len(given.streams.audio) <= 1, len(tracks) == len(given.streams))
        if kinds != (1, True, True) or not codecs <= {*VIDEO, *AUDIO}:
            raise Refused(AssetReason.VIDEO_FORMAT, "has tracks that MP4 does not support")
        with av.open(target, "w", format="mp4") as made:
            copies = {track.index: made.add_stream_from_template(track, opaque=True) for track in tracks}
            for packet in given.demux(*tracks):
                if not packet.size:
                    continue
                if packet.dts is None:
                    raise Refused(AssetReason.VIDEO_FORMAT, "does not say when its packets are decoded")
                packet.stream = copies[packet.stream.index]
                made.mux(packet)
    return dict
