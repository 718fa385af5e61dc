"""A picture meets the size of a model."""

import numpy as np
import pytest
from PIL import Image

from services.orchestrator.media.fit import fit, to_pixels
from tests.support import pictures


def test_cropping_fills_the_size_and_cuts_the_rest() -> None:
    image = Image.new("RGB", (400, 100), "red")
    image.paste("blue", (100, 0, 300, 100))
    made = fit(pictures.encoded(image, "PNG"), 200, 100, "crop")
    assert (made.shape, made.dtype) == ((100, 200, 3), np.uint8)
    assert (made == (0, 0, 255)).all()


def test_padding_shows_all_of_it_on_black() -> None:
    made = fit(pictures.encoded(Image.new("RGB", (400, 100), "white"), "PNG"), 200, 100, "pad")
    assert (made[:24] == 0).all()
    assert (made[26:74] == 255).all()
    assert (made[76:] == 0).all()


@pytest.mark.parametrize("policy", ["crop", "pad"])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_nothing_is_stretched(policy: str, form: str) -> None:
    image = Image.new("RGB", (600, 400), "white")
    image.paste("black", (250, 150, 350, 250))
    made = fit(pictures.encoded(image, form), 224, 128, policy)  # type: ignore[arg-type]
    dark = made[14:-14, 14 + 20 : -14 - 20, 0] < 128
    assert abs(int(dark.any(0).sum()) - int(dark.any(1).sum())) <= 1


def test_pixels_reach_from_minus_one_to_one() -> None:
    made = np.zeros((4, 6, 3), np.uint8)
    made[..., 1] = 255
    pixels = to_pixels(made)
    assert (pixels.shape, pixels.dtype) == ((1, 3, 4, 6), np.float32)
    assert (pixels[0, 0].max(), pixels[0, 1].min()) == (-1, 1)
