"""A large JPEG, encoded in strips at the same time.

Restart markers make this possible: after each marker the data begin as at the start of a picture. So separately encoded
strips, joined by markers, are the complete picture. Runs in the child only.
"""

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import simplejpeg

Pixels = npt.NDArray[np.uint8]
"""(H, W, 3), RGB"""

#: Below this many pixels, a second thread costs more time than it saves.
WORTH_IT = 2_000_000
AT_ONCE = 2
#: Samples of luminance per sample of colour, horizontally and vertically.
SUBSAMPLING = {(1, 1): "444", (2, 1): "422", (1, 2): "440", (2, 2): "420"}
_SAMPLES = {name: samples for samples, name in SUBSAMPLING.items()}
_MOST_BLOCKS = 0xFFFF
"""Between two restart markers."""
_SOF, _SOS, _DRI = 0xC0, 0xDA, b"\xff\xdd\0\4"

_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="strips")


def encode(pixels: Pixels, quality: int, subsampling: str) -> bytes:
    """Returns a baseline JPEG; `subsampling` is one of SUBSAMPLING."""
    height, width = pixels.shape[:2]
    if height * width < WORTH_IT:
        return _encoded(pixels, quality, subsampling)
    horizontal, vertical = _SAMPLES[subsampling]
    across, down = -(-width // (8 * horizontal)), -(-height // (8 * vertical))
    rows = min(-(-down // AT_ONCE), _MOST_BLOCKS // across)
    step = rows * 8 * vertical
    parts = [pixels[top : top + step] for top in range(0, height, step)]
    encoded = list(_threads.map(lambda part: _encoded(part, quality, subsampling), parts))
    start, data = _split(encoded[0])
    sof = _find(start, _SOF)
    sos = _find(start, _SOS)
    whole: list[bytes | memoryview] = [start[: sof + 5], struct.pack(">H", height), start[sof + 7 : sos]]
    whole += [_DRI, struct.pack(">H", rows * across), start[sos:], data]
    for number, part in enumerate(encoded[1:]):
        whole += [bytes((0xFF, 0xD0 + number % 8)), _split(part)[1]]
    return b"".join([*whole, b"\xff\xd9"])


def _encoded(pixels: Pixels, quality: int, subsampling: str) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", subsampling)
    return data


def _split(jpeg: bytes) -> tuple[bytes, memoryview]:
    """Returns the bytes before the data of the only scan, and the data."""
    sos = _find(jpeg, _SOS)
    end = sos + 2 + int.from_bytes(jpeg[sos + 2 : sos + 4], "big")
    return jpeg[:end], memoryview(jpeg)[end:-2]


def _find(jpeg: bytes, marker: int) -> int:
    """Returns where a segment begins."""
    at = 2
    while jpeg[at + 1] != marker:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return at
