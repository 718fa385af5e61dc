"""A look inside files that others made, before anything of them is believed."""

from collections.abc import Callable
from pathlib import Path

from services.orchestrator.domain.media import AudioInfo, VideoInfo

Probe = Callable[[Path], VideoInfo]
"""Looks inside a video file. Blocking. Raises InvalidUpload when it is not a playable MP4."""

Listen = Callable[[Path], AudioInfo]
"""Looks inside a sound file. Blocking. Raises InvalidUpload when there is nothing to hear in it."""
