"""Whether the judge of nano detects the motions in a video, and no others."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tools.nano import judge, training_pictures

SHOWN = training_pictures.judging(judge.HEIGHT, judge.WIDTH)
PHOTOGRAPHS, FEATURELESS = (0, 1, 25), (32, 36)
FRAMES = 33


def flicker(rng: np.random.Generator) -> np.ndarray:
    """As a decoder changes a picture that stands still: by a few levels, smoothly, otherwise in each frame."""
    coarse = Image.fromarray(rng.normal(scale=4, size=(6, 10)).astype(np.float32))
    return np.asarray(coarse.resize((judge.WIDTH, judge.HEIGHT), Image.Resampling.BICUBIC))[..., None]


@pytest.mark.parametrize("name", judge.PROMPTS)
def test_a_slow_motion_is_seen(name: str) -> None:
    wanted = replace(judge.PROMPTS[name][1], pace=0.5)
    assert [judge.read(judge.true_clip(SHOWN[index], wanted, FRAMES)).motion for index in PHOTOGRAPHS] == [name] * 3


def test_a_motion_is_seen_on_a_picture_with_little_to_see() -> None:
    name = "pan left"
    for index in FEATURELESS:
        assert judge.read(judge.true_clip(SHOWN[index], judge.PROMPTS[name][1], FRAMES)).motion == name


@pytest.mark.parametrize("index", PHOTOGRAPHS + FEATURELESS)
def test_changes_by_a_decoder_are_not_motion(index: int) -> None:
    rng = np.random.default_rng(9)
    frames = np.stack([(SHOWN[index] + flicker(rng)).clip(0, 255).astype(np.uint8) for _ in range(FRAMES)])
    assert judge.read(frames).motion == "still"
