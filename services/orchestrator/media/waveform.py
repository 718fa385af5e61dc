"""The waveform of a sound as a picture. Runs in the child only."""

from typing import Any, BinaryIO

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from services.orchestrator.media.picture_header import Refused
from services.orchestrator.media.sound_measure import demuxer_of
from services.reasons import AssetReason

WIDTH, HEIGHT = 1024, 256
COLOUR = (59, 130, 246)
"""Readable on white and on black pages: the rest is transparent."""
FINE = 8
"""Blocks of samples for each column, so that a wrong duration leaves the picture sharp enough."""

Peaks = npt.NDArray[np.float32]
"""(N, 2): the least and the greatest sample of each block, -1 to 1."""


def waveform(source: BinaryIO, duration_s: float) -> Image.Image:
    """Returns a picture of WIDTH x HEIGHT pixels. `duration_s` is what was measured. Raises Refused: no sample."""
    peaks = _peaks(source, duration_s)
    edges = np.linspace(0, len(peaks), WIDTH + 1)
    begins = np.minimum(edges[:-1].astype(int), len(peaks) - 1)
    ends = np.maximum(np.ceil(edges[1:]).astype(int), begins + 1)
    bottom = np.array([peaks[begin:end, 0].min() for begin, end in zip(begins, ends, strict=True)])
    top = np.array([peaks[begin:end, 1].max() for begin, end in zip(begins, ends, strict=True)])
    rows = np.linspace(1, -1, HEIGHT)[:, None]
    half_a_row = 1 / HEIGHT  # silence is a line, not nothing
    drawn = (rows <= top + half_a_row) & (rows >= bottom - half_a_row)
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[drawn] = (*COLOUR, 255)
    return Image.fromarray(pixels)


def _peaks(source: BinaryIO, duration_s: float) -> Peaks:
    demuxer = demuxer_of(source)
    blocks: list[Peaks] = []
    with av.open(source, "r", format=demuxer) as container:
        stream = container.streams.audio[0]
        rate = stream.codec_context.sample_rate
        block = max(1, int(duration_s * rate) // (WIDTH * FINE))
        to_mono = av.AudioResampler(format="flt", layout="mono", rate=rate)
        waiting, count = [], 0
        for samples in _samples(container, stream, to_mono):
            waiting.append(samples)
            count += len(samples)
            if count >= block:
                joined = np.concatenate(waiting)
                whole = count // block * block
                parts = joined[:whole].reshape(-1, block)
                blocks.append(np.stack((parts.min(1), parts.max(1)), axis=1))
                waiting, count = [joined[whole:]], count - whole
        if count:
            rest = np.concatenate(waiting)
            blocks.append(np.array([[rest.min(), rest.max()]], np.float32))
    if not blocks:
        raise Refused(AssetReason.AUDIO_UNREADABLE, "has nothing to hear")
    return np.nan_to_num(np.concatenate(blocks)).clip(-1, 1)


def _samples(container: Any, stream: Any, to_mono: av.AudioResampler) -> Any:
    """Yields the samples of all channels, mixed, frame by frame. A damaged packet is left out."""
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        for frame in frames:
            for mixed in to_mono.resample(frame):
                yield mixed.to_ndarray().ravel()
    for mixed in to_mono.resample(None):
        yield mixed.to_ndarray().ravel()
