"""The mark in the pixels: faint, always the same, and found again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.orchestrator.media.pixel_mark import Frames, mark
from services.orchestrator.media.pixel_mark_detector import detect, detect_in
from services.orchestrator.media.video_writer import VideoWriter
from tools.pixel_mark_attacks import ATTACKS, reencoded

CAT = Path(__file__).parents[2] / "golden" / "cat.png"


def a_pan(frames: int = 16) -> Frames:
    picture = np.asarray(Image.open(CAT).convert("RGB").resize((320, 160)))
    return np.stack([picture[16:144, index : index + 224] for index in range(frames)])


def encoded(frames: Frames, path: Path) -> Path:
    height, width = frames.shape[1:3]
    writer = VideoWriter(width, height, 16)
    writer.add(frames)
    writer.finish(path)
    return path


def test_the_mark_is_fainter_than_40_db() -> None:
    frames = a_pan()
    error = np.mean((mark(frames).astype(float) - frames) ** 2)
    assert 10 * np.log10(255**2 / error) >= 40


def test_equal_frames_are_marked_equally_in_blocks_of_any_length() -> None:
    frames = a_pan(6)
    parts = [mark(frames[:1]), mark(frames[1:4]), mark(frames[4:])]
    assert np.array_equal(mark(frames), np.concatenate(parts))


def test_a_marked_file_is_recognised_and_an_unmarked_one_is_not(tmp_path: Path) -> None:
    assert detect(encoded(mark(a_pan()), tmp_path / "marked.mp4")).present
    assert not detect(encoded(a_pan(), tmp_path / "plain.mp4")).present


@pytest.mark.parametrize(
    "part",
    [np.s_[:, 6:122, 10:214], np.s_[4:12], np.s_[::3]],
    ids=["a cropped picture", "a cut in time", "frames left out"],
)
def test_a_part_of_a_marked_video_is_recognised(part: tuple[slice, ...], tmp_path: Path) -> None:
    assert detect(encoded(mark(a_pan())[part], tmp_path / "part.mp4")).present


@pytest.mark.parametrize("name", ATTACKS)
def test_a_marked_video_is_recognised_after_an_attack_and_an_unmarked_one_is_not(name: str, tmp_path: Path) -> None:
    frames = a_pan(48)
    for tried, present in ((mark(frames), True), (frames, False)):
        attacked, rate = ATTACKS[name](tried)
        reencoded(attacked, rate, tmp_path / "attacked.mp4")
        assert detect(tmp_path / "attacked.mp4").present is present


def test_every_frame_is_fainter_than_40_db_even_if_it_is_grey_all_over() -> None:
    frames = np.full((2, 90, 250, 3), 128, np.uint8)
    for marked, frame in zip(mark(frames), frames, strict=True):
        error = np.mean((marked.astype(float) - frame) ** 2)
        assert 40 <= 10 * np.log10(255**2 / error) <= 40.2


def test_a_frame_of_one_colour_and_no_frame_have_no_mark() -> None:
    assert not detect_in([np.full((64, 64), 128, np.uint8)]).present
    assert not detect_in([]).present
