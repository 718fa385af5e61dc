"""Pictures to train on and, apart from them, test pictures: photographs of packages, and pictures by formula.

Photographs are those that scikit-image and scikit-learn carry in their wheels. The split is by photograph, so that no
crop of a test picture is trained on; pictures by formula are drawn from seeds of their own.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import skimage
import sklearn
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]
"""(height, width, 3)."""

TRAINING = (
    "skimage/astronaut.png",
    "skimage/brick.png",
    "skimage/cell.png",
    "skimage/coins.png",
    "skimage/color.png",
    "skimage/grass.png",
    "skimage/gravel.png",
    "skimage/hubble_deep_field.jpg",
    "skimage/ihc.png",
    "skimage/moon.png",
    "skimage/motorcycle_left.png",
    "skimage/page.png",
    "skimage/retina.jpg",
    "skimage/text.png",
    "sklearn/china.jpg",
    "sklearn/flower.jpg",
)
RICH = ("skimage/astronaut.png", "skimage/motorcycle_left.png", "sklearn/china.jpg", "sklearn/flower.jpg")
"""Of them those with the most to see, which are shown more often."""
RICHER = 4
"""How much more often."""

JUDGING = ("skimage/chelsea.png", "skimage/coffee.png", "skimage/rocket.jpg", "skimage/camera.png")
"""Never trained on; the first is the picture of the demo."""

JUDGED_FORMULAS = 26
"""Pictures by formula among the test pictures."""


@cache
def photograph(name: str) -> Image.Image:
    """A photograph by package and file."""
    package, file = name.split("/")
    folder = Path(skimage.__file__).parent / "data" if package == "skimage" else Path(sklearn.__file__).parent
    path = folder / file if package == "skimage" else folder / "datasets/images" / file
    return Image.open(path).convert("RGB")


def picture(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """A picture to train on: a crop of a photograph, or one by formula, with its colours changed a little."""
    if rng.random() < 0.35:
        return by_formula(rng, height, width)
    odds = np.array([RICHER if name in RICH else 1.0 for name in TRAINING])
    name = TRAINING[rng.choice(len(TRAINING), p=odds / odds.sum())]
    return coloured(rng, crop(rng, photograph(name), height, width))


def judging(height: int, width: int, count: int = 50) -> list[Pixels]:
    """The test pictures, always the same: whole photographs first, then crops of them, then formulas."""
    rng = np.random.default_rng(7)
    crops = count - min(JUDGED_FORMULAS, count // 2)
    photographs = [
        crop(rng, photograph(JUDGING[index % len(JUDGING)]), height, width, whole=index < len(JUDGING))
        for index in range(crops)
    ]
    return photographs + [by_formula(rng, height, width) for _ in range(count - crops)]


def crop(rng: np.random.Generator, image: Image.Image, height: int, width: int, *, whole: bool = False) -> Pixels:
    """A part of a picture at random place and scale, mirrored half of the time; `whole`: as much of it as fits."""
    largest = min(image.width / width, image.height / height)
    scale = largest if whole else float(np.exp(rng.uniform(np.log(min(0.6, largest)), np.log(largest))))
    wide, high = width * scale, height * scale
    left = (image.width - wide) * (0.5 if whole else rng.random())
    top = (image.height - high) * (0.5 if whole else rng.random())
    part = image.resize((width, height), Image.Resampling.LANCZOS, box=(left, top, left + wide, top + high))
    pixels = np.asarray(part)
    return pixels if whole or rng.random() < 0.5 else pixels[:, ::-1]


def coloured(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """The same picture in another light: channels in another order, brighter, darker, softer, or as it is."""
    if rng.random() < 0.3:
        pixels = pixels[..., rng.permutation(3)]
    gain, tint = rng.uniform(0.7, 1.2), rng.uniform(-18, 18, 3)
    mean = pixels.mean()
    made: Pixels = np.clip((pixels - mean) * gain + mean + tint, 0, 255).astype(np.uint8)
    return made


def colour(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Any colour, (3,) in [0, 255]."""
    return rng.uniform(0, 255, 3)


def gradient(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    """Colours that flow into one another."""
    coarse = rng.uniform(0, 255, (int(rng.integers(2, 5)), int(rng.integers(2, 5)), 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)


def noise(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    """A texture: noise of several sizes between two colours."""
    total = np.zeros((height, width))
    steep = rng.uniform(0.8, 1.6)
    for level in range(2, 7):
        cells = 2**level
        grid = rng.normal(size=(max(2, cells * height // width), cells)).astype(np.float32)
        grown = Image.fromarray(grid, mode="F").resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(grown) * 2.0 ** (-steep * level)
    share = (1 / (1 + np.exp(-2 * total / total.std())))[..., None]
    made: npt.NDArray[np.float64] = share * colour(rng) + (1 - share) * colour(rng)
    return made


def stripes(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    """Bars or a board of squares at an angle."""
    y, x = np.mgrid[:height, :width]
    angle, size = rng.uniform(0, np.pi), rng.uniform(10, 40)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) / size * np.pi)
    if rng.random() < 0.5:
        wave = wave * np.sin((y * np.cos(angle) - x * np.sin(angle)) / size * np.pi)
    share = np.clip(wave * 4 + 0.5, 0, 1)[..., None]
    made: npt.NDArray[np.float64] = share * gradient(rng, height, width) + (1 - share) * colour(rng)
    return made


def shapes(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    """Discs, boxes and triangles over another picture."""
    ground = (gradient if rng.random() < 0.6 else noise)(rng, height, width)
    large = Image.fromarray(ground.clip(0, 255).astype(np.uint8)).resize((2 * width, 2 * height))
    draw = ImageDraw.Draw(large)
    for _ in range(int(rng.integers(2, 9))):
        x, y, size = rng.uniform(0, 2 * width), rng.uniform(0, 2 * height), rng.uniform(12, 90)
        fill = tuple(int(each) for each in colour(rng))
        box = (x - size, y - size * rng.uniform(0.5, 1), x + size, y + size * rng.uniform(0.5, 1))
        kind = rng.integers(3)
        if kind == 0:
            draw.ellipse(box, fill=fill)
        elif kind == 1:
            draw.rectangle(box, fill=fill)
        else:
            draw.polygon([(x + size * np.cos(a), y + size * np.sin(a)) for a in rng.uniform(0, 6.3, 3)], fill=fill)
    return np.asarray(large.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float64)


def letters(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[np.float64]:
    """Large words over another picture."""
    ground = Image.fromarray(gradient(rng, height, width).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(ground)
    for _ in range(int(rng.integers(1, 5))):
        word = "".join(chr(each) for each in rng.integers(65, 91, int(rng.integers(2, 8))))
        place = (float(rng.uniform(-10, width * 0.7)), float(rng.uniform(-5, height * 0.8)))
        font = ImageFont.load_default(size=float(rng.uniform(16, 60)))
        draw.text(place, word, fill=tuple(int(each) for each in colour(rng)), font=font)
    return np.asarray(ground, dtype=np.float64)


FORMULAS: tuple[Callable[[np.random.Generator, int, int], npt.NDArray[np.float64]], ...] = (
    gradient,
    noise,
    stripes,
    shapes,
    shapes,
    letters,
)


def by_formula(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """One of the formulas."""
    made = FORMULAS[int(rng.integers(len(FORMULAS)))](rng, height, width)
    return made.clip(0, 255).astype(np.uint8)
