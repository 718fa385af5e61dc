"""A large JPEG, encoded in strips at the same time.

Restart markers are made for this: behind each of them the data begin as at the start of a picture, so strips that are
encoded alone, one behind the other with markers between, are the whole. Runs in the child only.
"""

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import simplejpeg

Pixels = npt.NDArray[np.uint8]
"""(H, W, 3), RGB"""

#: Below this many pixels, starting a second thread costs more than it brings.
WORTH_IT = 2_000_000
AT_ONCE = 2
#: By how many samples of luminance lie beside and above each other for one of each colour.
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
    beside, above = _SAMPLES[subsampling]
    across, down = -(-width // (8 * beside)), -(-height // (8 * above))
    rows = min(-(-down // AT_ONCE), _MOST_BLOCKS // across)
    step = rows * 8 * above
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
    """Returns what stands before the data of the one scan, and the data."""
    sos = _find(jpeg, _SOS)
    end = sos + 2 + int.from_bytes(jpeg[sos + 2 : sos + 4], "big")
    return jpeg[:end], memoryview(jpeg)[end:-2]


def _find(jpeg: bytes, marker: int) -> int:
    """Returns where a segment begins."""
    at = 2
    while jpeg[at + 1] != marker:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return at
