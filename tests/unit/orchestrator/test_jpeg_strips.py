"""A JPEG encoded in strips is identical to the JPEG encoded in one piece."""

import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from services.orchestrator.media import jpeg_strips
from tests.support import pictures


@pytest.mark.parametrize("subsampling", ["444", "422", "440", "420"])
@pytest.mark.parametrize(("width", "height"), [(1600, 1300), (1601, 1307), (8192, 2048), (2048, 8192), (640, 480)])
def test_a_jpeg_in_strips_equals_the_jpeg_in_one_piece(width: int, height: int, subsampling: str) -> None:
    pixels = np.asarray(pictures.noisy(320, 240).resize((width, height)))
    data = jpeg_strips.encode(pixels, 90, subsampling)
    at_once = simplejpeg.encode_jpeg(pixels, 90, "RGB", subsampling)
    assert np.array_equal(simplejpeg.decode_jpeg(data, strict=True), simplejpeg.decode_jpeg(at_once))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.size == (width, height)
