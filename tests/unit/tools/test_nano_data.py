"""What nano is trained on: pictures apart from the test pictures, motions, and captions that request them."""

import numpy as np
import pytest
import torch

from tools.nano import captions, motion, training_pictures
from tools.nano.captions import RequestedMotion
from tools.nano.motion import Motion

HEIGHT, WIDTH = 64, 96


def a_picture() -> torch.Tensor:
    """Smooth, and different everywhere."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, HEIGHT), torch.linspace(-1, 1, WIDTH), indexing="ij")
    return torch.stack((x, y, (3 * x * y).sin()))


def test_no_test_photograph_is_trained_on() -> None:
    assert not set(training_pictures.TRAINING) & set(training_pictures.JUDGING)
    assert set(training_pictures.RICH) <= set(training_pictures.TRAINING)
    assert "skimage/chelsea.png" in training_pictures.JUDGING, "the picture of the demo"


def test_the_test_pictures_are_always_the_same_fifty() -> None:
    one, other = training_pictures.judging(HEIGHT, WIDTH), training_pictures.judging(HEIGHT, WIDTH)
    assert len(one) == 50
    assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    assert {each.shape for each in one} == {(HEIGHT, WIDTH, 3)}
    assert len({each.tobytes() for each in one}) == 50


@pytest.mark.parametrize("kind", motion.KINDS)
def test_a_clip_begins_with_its_picture_and_then_moves(kind: str) -> None:
    clip = motion.clip(a_picture(), Motion(**{kind: 1.0}), 33)
    assert clip.shape == (33, 3, HEIGHT, WIDTH)
    assert (clip[0] - a_picture()).abs().max() < 1e-4
    assert (clip[12] - a_picture()).abs().mean() > 0.01
    assert clip.abs().max() <= 1


def test_a_still_prompt_gives_a_still_picture() -> None:
    clip = motion.clip(a_picture(), RequestedMotion("still").motion, 17)
    assert (clip - a_picture()).abs().max() < 1e-4


def test_a_camera_that_pans_right_shows_what_was_further_right() -> None:
    """The first channel grows to the right, so at the same place it is then larger."""
    middle = (slice(None), 0, slice(20, 40), slice(30, 50))
    right, left = (motion.clip(a_picture(), Motion(pan_right=way), 17)[middle].mean((1, 2)) for way in (1, -1))
    assert (right.diff() > 0).all() and (left.diff() < 0).all()


def test_a_camera_that_comes_closer_makes_everything_larger() -> None:
    spread = motion.clip(a_picture(), Motion(zoom_in=1), 17)[:, 0, 20:40, 20:76].std((1, 2))
    assert (spread.diff() < 0).all()


@pytest.mark.parametrize(
    ("kind", "sign", "number"), [("pan_left", -1, 0), ("pan_up", -1, 1), ("zoom_out", -1, 2), ("zoom_in", 1, 2)]
)
def test_opposites_are_the_same_motion_backwards(kind: str, sign: int, number: int) -> None:
    assert RequestedMotion(kind, 0.5).motion.numbers()[number] == sign * 0.5
    assert sum(each != 0 for each in RequestedMotion(kind, 0.5).motion.numbers()) == 1


def test_two_motions_add_up() -> None:
    assert RequestedMotion("pan_right", 1.8, "zoom_out").motion == Motion(pan_right=1.8, zoom_in=-1)


def test_a_caption_without_a_motion_drifts() -> None:
    assert RequestedMotion("nothing").motion == Motion(drift=1)


@pytest.mark.parametrize("kind", captions.SPOKEN)
def test_a_caption_describes_its_motion_in_many_wordings(kind: str) -> None:
    rng = np.random.default_rng(3)
    worded = {captions.caption(rng, RequestedMotion(kind)) for _ in range(60)}
    assert len(worded) > 40
    word = {"rotate_counterclockwise": "counter|anti|against"}.get(kind, kind.split("_")[-1])
    if kind.startswith(("pan", "tilt")):
        matching = sum(word in each.lower() or "sky" in each or "ground" in each or "back" in each for each in worded)
        assert matching > len(worded) / 2


@pytest.mark.parametrize(("pace", "words"), [(0.5, "slow"), (1.8, "fast")])
def test_a_caption_describes_its_pace(pace: float, words: str) -> None:
    rng = np.random.default_rng(4)
    of_pace = captions.WORDS["slowly" if words == "slow" else "quickly"] + captions.WORDS[words]
    for _ in range(40):
        caption = captions.caption(rng, RequestedMotion("zoom_in", pace))
        assert any(word in caption for word in of_pace), caption


def test_the_same_seed_gives_the_same_motions_and_captions() -> None:
    one, other = (np.random.default_rng(5) for _ in range(2))
    for _ in range(50):
        wanted, again = captions.random_motion(one), captions.random_motion(other)
        assert wanted == again
        assert captions.caption(one, wanted) == captions.caption(other, again)
