"""Frames of videos, compared after decoding."""

import hashlib
from pathlib import Path


def frame_digests(path: Path) -> list[bytes]:
    """Decodes a video and returns a digest of the pixels of each frame. Blocking. Raises OSError, ValueError."""
    import av  # only here: most commands decode nothing, and it takes a while to import

    digests = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            digest = hashlib.sha256(f"{frame.format.name} {frame.width}x{frame.height}".encode())
            digest.update(frame.to_ndarray().tobytes())
            digests.append(digest.digest())
    return digests


def first_difference(one: list[bytes], other: list[bytes]) -> int | None:
    """Returns the number of the first frame, from 0, that is not the same in both; None: all are the same."""
    for number, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return number
    return None if len(one) == len(other) else min(len(one), len(other))
